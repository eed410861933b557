"""One history: what gateways obey has to be on record."""

from anew.domain.errors import IntegrityError
from anew.ports.traffic import Traffic

__all__ = ["refuse_older_record"]


def refuse_older_record(traffic: Traffic, model: str, known: int) -> None:
    """Refuse to write on from a record whose newest epoch is `known`, if gateways have obeyed newer routing.

    Raises
    ------
    IntegrityError
        An older record was put beneath them; going on would make two histories.
    """
    routing = traffic.published(model)
    newest = 0 if routing is None else routing.epoch
    if newest > max([known, *(order.epoch for order in traffic.ordered(model))]):
        raise IntegrityError(
            f"gateways of {model} obey routing of epoch {newest}, the record ends at {known}: it is the older one; "
            "restore the newest backup, or go back on purpose: anew restore BACKUP PROJECT --replace --supersede"
        )
