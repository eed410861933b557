"""What changes at a project, look by look: the new facts, and where everything stands."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from anew.adapters.fact_reader import read_facts
from anew.app.record_place import record_place
from anew.app.status import project_status, state_folder
from anew.domain.errors import UnavailableError
from anew.domain.fact import Fact

__all__ = ["Look", "looks"]

_AFRESH_S = 5.0
_FIRST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look found.

    Attributes
    ----------
    status
        As `project_status` returns it.
    facts
        Those recorded since the look before, oldest first; at the first look the newest few.
    problem
        Why the record could not be read at this look; then `status` is that of the last one that could.
    """

    status: Mapping[str, Any]
    facts: Sequence[Fact]
    problem: str = ""


def looks(project: Path, every_s: float, pause: Callable[[float], None] = sleep) -> Iterator[Look]:
    """Look every so many seconds, for as long as somebody asks for the next; the record is read on from where it was.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    """
    status = project_status(project)
    place = record_place(state_folder(project))
    seen = list(read_facts(place, after=max(0, status["facts"] - _FIRST)))
    yield Look(status=status, facts=[each.fact for each in seen])
    after, afresh = (seen[-1].seq if seen else 0), monotonic() + _AFRESH_S
    while True:
        pause(every_s)
        problem = ""
        try:
            new = list(read_facts(place, after=after))
            if new or monotonic() >= afresh:
                status, afresh = project_status(project), monotonic() + _AFRESH_S
        except UnavailableError as exc:
            new, problem = [], str(exc)
        after = new[-1].seq if new else after
        yield Look(status=status, facts=[each.fact for each in new], problem=problem)
