"""How far gateways of a project's folder have gone: by its routing, or by what else tells of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.file_traffic import FileTraffic, routing_file
from anew.adapters.signing import Verifier
from anew.app.backup_copy import record_epoch
from anew.app.record_place import record_place
from anew.app.status import living_workers
from anew.domain.errors import IntegrityError, NotFoundError

__all__ = ["Obeyed", "obeyed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obeyed:
    """The greatest epoch of routing that gateways are known to have obeyed.

    Attributes
    ----------
    epoch
        0 when nobody ever did.
    problem
        Why they may have obeyed a greater one; empty when they have not.
    """

    epoch: int
    problem: str = ""


def obeyed(state: Path, model: str, keys: Sequence[Path]) -> Obeyed:
    """Return how far gateways of the ``.anew`` folder `state` have gone.

    Parameters
    ----------
    keys
        Folders of keys that may have signed the routing there.

    Raises
    ------
    UnavailableError
        The routing, or the server that keeps the record, does not answer.
    """
    alive = [int(each.get("epoch", 0)) for each in living_workers(state)]
    problem, file = "", routing_file(state, model)
    if file.is_file():
        for folder in keys:
            try:
                routing = FileTraffic(state, verifier=Verifier.load(folder)).published(model)
            except (IntegrityError, NotFoundError) as exc:
                problem = str(exc).rpartition("; ")[0]
            else:
                return Obeyed(epoch=max([0 if routing is None else routing.epoch, *alive]))
    recorded = 0
    try:
        recorded = record_epoch(record_place(state))
    except NotFoundError:
        pass  # nothing was ever begun, or there is nothing left of it
    except IntegrityError as exc:
        problem = problem or str(exc).rpartition("; ")[0]
    return Obeyed(epoch=max([recorded, *alive, *_told(state, file)]), problem=problem)


def _told(state: Path, routing: Path) -> Iterator[int]:
    """Yield the epochs that a routing which nobody can verify, and workers that ended, told of: too many do no harm."""
    for file in (state / "workers").glob("*.json"):
        yield _epoch(file)
    yield _epoch(routing, "routing")


def _epoch(file: Path, *inside: str) -> int:
    try:
        said = json.loads(file.read_bytes())
        for name in inside:
            said = said[name]
        return int(said["epoch"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
