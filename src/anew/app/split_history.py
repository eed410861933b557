"""One history: what gateways obey has to be on record, and what is on record they have to obey."""

from anew.adapters.fact_reader import read_facts
from anew.app.record_place import record_place
from anew.app.settings import Settings
from anew.domain.errors import IntegrityError
from anew.domain.facts import TrafficOrdered, TrafficShifted
from anew.ports.traffic import Traffic

__all__ = ["keep_one_history", "refuse_older_record"]


def keep_one_history(settings: Settings, traffic: Traffic, known: int) -> None:
    """Refuse to write on from an older record; publish its newest routing again where what gateways read is gone.

    Parameters
    ----------
    known
        The epoch that the record ends at.

    Raises
    ------
    IntegrityError
        As `refuse_older_record`; or nothing is published, and gateways that live obey what is on no record.
    """
    refuse_older_record(traffic, settings.model, known)
    if not known or traffic.published(settings.model) is not None:
        return
    newest = max((worker.epoch for worker in traffic.workers(settings.model)), default=0)
    if newest > known:
        raise IntegrityError(
            f"gateways of {settings.model} obey routing of epoch {newest}, which is gone, and the record ends at "
            f"{known}; put the routing back, or end these gateways: anew up then publishes what is on record"
        )
    kinds = {TrafficShifted.__name__, TrafficOrdered.__name__}
    facts = [each.fact for each in read_facts(record_place(settings.state), kinds=kinds)]
    routed = [each for each in facts if isinstance(each, TrafficShifted | TrafficOrdered)]
    if routed:
        latest = max(routed, key=lambda fact: fact.epoch)
        traffic.publish(latest if isinstance(latest, TrafficShifted) else latest.shifted())


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
