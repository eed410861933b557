"""What a project's lake needs from time to time: compaction, a look at every byte, and to lose what is too old."""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from anew.adapters.delta_lake import DeltaLake
from anew.domain.errors import AnewError
from anew.domain.fact import Fact
from anew.domain.facts import SnapshotTaken, TrafficShifted
from anew.ports.clock import Clock
from anew.ports.journal import JournalReader

__all__ = ["Upkeep", "pinned_versions"]

_LOG = logging.getLogger("anew.upkeep")

EVERY_S = 86_400.0
"""Seconds between two looks at every byte."""
KEPT_CHAMPIONS = 5
"""Champions, the latest, whose snapshots can be read again from the tables whatever retention says."""


def pinned_versions(facts: Iterable[Fact], running: Collection[str]) -> Mapping[str, frozenset[int]]:
    """Return, by table, the versions that snapshots read which somebody may need again.

    These are the snapshots of the versions `running` now, of those in the present routing, and of the last champions.
    """
    taken: dict[str, SnapshotTaken] = {}
    champions: list[str] = []
    routed: set[str] = set()
    for fact in facts:
        if isinstance(fact, SnapshotTaken):
            taken[fact.version] = fact
        elif isinstance(fact, TrafficShifted):
            routed = {version for version, _ in fact.named}
            if fact.champion[0] not in champions[-1:]:
                champions.append(fact.champion[0])
    needed = routed | set(running) | set(champions[-KEPT_CHAMPIONS:])
    pins: dict[str, set[int]] = {}
    for version in needed & set(taken):
        for table, at in taken[version].tables:
            pins.setdefault(table, set()).add(at)
    return {table: frozenset(versions) for table, versions in pins.items()}


class Upkeep:
    """Belongs to the thread of the loop.

    Parameters
    ----------
    lake, journals
        What is looked after, and what damage is repaired from.
    """

    def __init__(self, lake: DeltaLake, journals: JournalReader, clock: Clock) -> None:
        self._lake = lake
        self._journals = journals
        self._clock = clock
        self._due = clock.monotonic() + EVERY_S
        self._seen: Mapping[str, int] = {}

    def verify(self) -> tuple[str, ...]:
        """Compare every byte of the lake with what was stored, and repair what differs; return what was found.

        What cannot be repaired is logged, again at each look, and refused when it is read: serving goes on.
        """
        problems = tuple(self._lake.verify())
        for problem in problems:
            _LOG.error("lake damaged problem=%s", problem)
        if problems:
            try:
                for sentence in self._lake.rebuild(self._journals):
                    _LOG.warning("lake repaired what=%s", sentence)
            except AnewError as exc:
                _LOG.error("lake not repaired, a person has to look problem=%s", exc)
        return problems

    def tidy(self, now: datetime | None, keep: timedelta | None, pins: Mapping[str, Collection[int]]) -> None:
        """Make small files one; once a day look at every byte, and let go what is older than `keep`.

        A file that left the tables stays until the next day's look, for whoever reads it now.
        """
        self._lake.compact()  # every turn with traffic leaves small files
        if self._clock.monotonic() < self._due:
            return
        self._due = self._clock.monotonic() + EVERY_S
        self.verify()
        if keep is not None and now is not None:
            rows = self._lake.expire(now - keep)
            if rows:
                _LOG.info("rows expired rows=%d before=%s", rows, (now - keep).isoformat())
        if keep is not None and self._seen:
            files = self._lake.vacuum(pins, after=self._seen)
            if files:
                _LOG.info("files deleted files=%d", files)
        self._seen = dict(self._lake.versions())
