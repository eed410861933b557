"""Names that stand for a version, where one is asked for: ``champion``, ``challenger``, ``fallback``."""

from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.domain.errors import NotFoundError
from anew.registry import ALIASES, Registry

__all__ = ["version_of"]


def version_of(project: Path, name: str) -> str:
    """Return the version that `name` stands for by the record as it is now; any other name as it is.

    Raises
    ------
    NotFoundError
        Nobody is the one that is asked for; or the project was never brought up.
    """
    if name not in ALIASES:
        return name
    registry = Registry()
    state = registry.initial()
    for recorded in read_facts(record_place(state_folder(project))):
        state = registry.apply(state, recorded.fact)
    record = state.named(name)
    if record is None:
        raise NotFoundError(f"there is no {name} now; `anew model list` says where every version stands")
    return record.version
