"""How far runs under way are, in values and in words; read from their folders, in nobody's way."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

from anew.adapters.job_record import JobRecord
from anew.domain.fact import Fact
from anew.domain.facts import TrafficShifted
from anew.loop.job_name import job_ids
from anew.loop.progress import read_progress, write_progress

__all__ = ["ProgressReporter", "describe_run", "job_under_way"]

_EVERY_S = 5.0


def job_under_way(jobs: Path, id: str) -> JobRecord:
    """Return the newest of the jobs of the effect that the fact `id` asked for."""
    records = [JobRecord(jobs / each) for each in job_ids(id)]
    return next((each for each in reversed(records) if each.folder.exists()), records[0])


def describe_run(state: Path, fact: Fact) -> Mapping[str, Any]:
    """Return what the effect that `fact` asked for says last of how far it is."""
    progress = read_progress(job_under_way(state / "jobs", fact.id).results)
    return {
        "id": fact.id,
        "version": fact.challenger[0] or fact.champion[0] if isinstance(fact, TrafficShifted) else _version(fact),
        "effect": fact.asks,
        "since": fact.at.isoformat(),
        "progress": None if progress is None else asdict(progress),
        "said": "under way" if progress is None else write_progress(progress),
    }


def _version(fact: Fact) -> str:
    return str(getattr(fact, "version", ""))


class ProgressReporter:
    """Tells of progress where there is some, every few seconds at most.

    Parameters
    ----------
    told
        Called with the id of the fact that asked, and a sentence.
    """

    def __init__(self, state: Path, told: Callable[[str, str], None], clock: Callable[[], float] = monotonic) -> None:
        self._jobs = state / "jobs"
        self._told = told
        self._clock = clock
        self._next = float("-inf")
        self._said: dict[str, str] = {}

    def look(self, pending: Collection[str]) -> None:
        """Look at the effects with these ids, unless that was a moment ago."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        self._said = {id: said for id, said in self._said.items() if id in pending}
        for id in pending:
            progress = read_progress(job_under_way(self._jobs, id).results)
            said = "" if progress is None else write_progress(progress)
            if said and said != self._said.get(id):
                self._said[id] = said
                self._told(id, said)
