"""What a project's lake needs from time to time: compaction, a look at every byte, and to lose what is too old."""

import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from anew.adapters.delta_lake import DeltaLake
from anew.app.mending import mend
from anew.domain.facts import SnapshotTaken, TrafficShifted
from anew.ports.clock import Clock
from anew.ports.eventlog import Recorded
from anew.ports.journal import JournalReader

__all__ = ["Pins", "Upkeep"]

_LOG = logging.getLogger("anew.upkeep")

EVERY_S = 86_400.0
"""Seconds between two looks at every byte, and between two for what is too old."""
KEPT_CHAMPIONS = 5
"""Champions, the latest, whose snapshots can be read again from the tables whatever retention says."""


class Pins:
    """Versions of the tables, by table, that snapshots read which somebody may need again.

    These are the snapshots of versions in training, of those in the present routing, and of the last champions.

    Parameters
    ----------
    facts
        Yields the facts on record of the kinds `KINDS` after a number; asked for what is new only.
    """

    KINDS: ClassVar = frozenset({"SnapshotTaken", "TrafficShifted"})

    def __init__(self, facts: Callable[[int], Iterable[Recorded]]) -> None:
        self._facts = facts
        self._seen = 0
        self._tables: dict[str, tuple[tuple[str, int], ...]] = {}
        self._routed: set[str] = set()
        self._champions = deque[str](maxlen=KEPT_CHAMPIONS)

    def now(self, running: Collection[str]) -> Mapping[str, frozenset[int]]:
        """Return them, where the versions `running` are in training."""
        for recorded in self._facts(self._seen):
            fact = recorded.fact
            if isinstance(fact, SnapshotTaken):
                self._tables[fact.version] = fact.tables
            elif isinstance(fact, TrafficShifted):
                self._routed = {version for version, _ in fact.named}
                if fact.champion[0] not in list(self._champions)[-1:]:
                    self._champions.append(fact.champion[0])
            self._seen = recorded.seq
        pins: dict[str, set[int]] = {}
        for version in self._routed | set(running) | set(self._champions):
            for table, at in self._tables.get(version, ()):
                pins.setdefault(table, set()).add(at)
        return {table: frozenset(versions) for table, versions in pins.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A look for what is too old: when it was, by both clocks, and the versions of the tables that it left."""

    at: datetime
    epoch: str
    monotonic: float
    versions: Mapping[str, int]

    @classmethod
    def read(cls, said: str) -> "_Look | None":
        """Return the look that was noted; None for none, and for a note of another anew or a damaged one."""
        try:
            note = json.loads(said)
            return cls(
                at=datetime.fromisoformat(note["at"]).astimezone(UTC),
                epoch=str(note["epoch"]),
                monotonic=float(note["monotonic"]),
                versions={str(table): int(version) for table, version in note["versions"].items()},
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            return None

    def age_s(self, clock: Clock) -> float:
        """Return how long ago it was: by the wall clock, which may be set, only once the machine has started again."""
        if self.epoch == clock.epoch() and self.monotonic <= clock.monotonic():
            return clock.monotonic() - self.monotonic
        return (clock.now() - self.at).total_seconds()


class Upkeep:
    """Belongs to the thread of the loop.

    Parameters
    ----------
    lake, journals
        What is looked after, and what damage is repaired from.
    alive
        Called after each file that is looked at: all of them may take longer than a loop may be silent.
    """

    def __init__(
        self, lake: DeltaLake, journals: JournalReader, clock: Clock, alive: Callable[[], None] = lambda: None
    ) -> None:
        self._lake = lake
        self._journals = journals
        self._clock = clock
        self._alive = alive
        self._verify_at = clock.monotonic() + EVERY_S
        if not lake.look():
            self._note_look()

    def verify(self) -> Sequence[str]:
        """Compare every byte of the lake with what was stored, and repair what differs; return what was found.

        What cannot be repaired is logged, again at each look, and refused when it is read: serving goes on.
        """
        return mend(self._lake, self._journals, self._alive)

    def tidy(
        self, now: datetime | None, keep: timedelta | None, pins: Callable[[], Mapping[str, Collection[int]]]
    ) -> None:
        """Make small files one; once a day look at every byte, and let go what is older than `keep`.

        A file that left the tables stays until a look a day later, for whoever reads it now, and longer where a version
        in `pins`, which is asked for only then, has it. The last look is noted beside the tables, so that a loop that
        is started anew each day lets go as well.
        """
        self._lake.compact()  # every turn with traffic leaves small files
        if self._clock.monotonic() >= self._verify_at:
            self._verify_at = self._clock.monotonic() + EVERY_S
            self.verify()
        last = _Look.read(self._lake.look())
        if last is None:
            _LOG.warning("upkeep_note_unreadable what=rows and files that are too old are looked for in a day")
            self._note_look()
            return
        age_s = last.age_s(self._clock)
        if 0 <= age_s < EVERY_S:
            return
        if keep is not None:
            if now is not None:
                self._expire(now - keep)
            if age_s >= EVERY_S:
                self._vacuum(pins(), last.versions)
        self._note_look()

    def _expire(self, before: datetime) -> None:
        rows = self._lake.expire(before)
        if rows:
            _LOG.info("rows expired rows=%d before=%s", rows, before.isoformat())

    def _vacuum(self, pins: Mapping[str, Collection[int]], seen: Mapping[str, int]) -> None:
        """Delete the files that had left the tables before the versions `seen`."""
        if seen:
            files = self._lake.vacuum(pins, after=seen)
            if files:
                _LOG.info("files deleted files=%d", files)

    def _note_look(self) -> None:
        clock, versions = self._clock, dict(self._lake.versions())
        look = _Look(at=clock.now(), epoch=clock.epoch(), monotonic=clock.monotonic(), versions=versions)
        self._lake.note_look(json.dumps(asdict(look) | {"at": look.at.isoformat()}))
