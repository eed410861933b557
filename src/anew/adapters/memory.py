"""Log, lease, inbox, clock and steps in memory: for replay, backtests and tests."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock, RLock

from anew.domain.errors import ConflictError, FencedError, InvariantError
from anew.domain.fact import Fact
from anew.domain.interval import require_utc
from anew.ports.clock import Clock, is_past
from anew.ports.eventlog import Grant, Recorded

__all__ = ["InMemoryEventLog", "InMemoryInbox", "InMemoryLease", "InlineSteps", "ManualClock", "check_ids"]


def check_ids(facts: Sequence[Fact]) -> None:
    """Refuse facts that cannot be appended together: without id, or twice the same.

    Raises
    ------
    InvariantError
        One of them has no id, or two have the same.
    """
    seen: set[str] = set()
    for fact in facts:
        if not fact.id:
            raise InvariantError(f"{fact.kind} has no id; make it with caused_by before it is stored")
        if fact.id in seen:
            raise InvariantError(f"{fact.kind} {fact.id} occurs twice in one append")
        seen.add(fact.id)


class ManualClock:
    """A clock that stands still until it is moved; both its readings move together. Thread-safe."""

    def __init__(self, start: datetime = datetime(2000, 1, 1, tzinfo=UTC)) -> None:
        self._start = require_utc(start, "start")
        self._elapsed = timedelta()
        self._monotonic = 0.0
        self._restarts = 0
        self._lock = Lock()

    def now(self) -> datetime:
        """Return the instant that the clock shows."""
        with self._lock:
            return self._start + self._elapsed

    def monotonic(self) -> float:
        """Return the seconds that the clock was moved forward by."""
        with self._lock:
            return self._monotonic

    def epoch(self) -> str:
        """Return the name of this clock's start; `restart` gives another."""
        with self._lock:
            return str(self._restarts)

    def restart(self) -> None:
        """Let `monotonic` begin again, as when a machine is started anew."""
        with self._lock:
            self._monotonic = 0.0
            self._restarts += 1

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; negative ones set back the wall clock alone."""
        with self._lock:
            self._elapsed += timedelta(seconds=seconds)
            self._monotonic += max(0.0, seconds)

    def step(self, by: timedelta) -> None:
        """Set the wall clock alone."""
        with self._lock:
            self._elapsed += by

    def set(self, at: datetime) -> None:
        """Let the time pass until `at`, or set the wall clock back to it."""
        self.advance((require_utc(at, "at") - self.now()).total_seconds())


class InMemoryLease:
    """A lease that lives as long as the process. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = RLock()
        self._grant = Grant(holder="", epoch=0)
        self._until = ("", 0.0)

    def acquire(self, holder: str, ttl_s: float) -> Grant | None:
        """Take the lease when it is free or has expired; None when another has it."""
        if not holder:
            raise InvariantError("a lease needs a holder's name, found an empty one")
        with self._lock:
            if self.current() is None:
                self._grant = Grant(holder=holder, epoch=self._grant.epoch + 1)
            elif self._grant.holder != holder:
                return None
            self._extend(ttl_s)
            return self._grant

    def renew(self, grant: Grant, ttl_s: float) -> None:
        """Extend the lease, or raise FencedError when it has passed on."""
        with self._lock:
            self.check(grant)
            self._extend(ttl_s)

    def release(self, grant: Grant) -> None:
        """Give the lease back; without effect when it is no longer held."""
        with self._lock:
            if self._grant == grant:
                self._grant = Grant(holder="", epoch=grant.epoch)

    def current(self) -> Grant | None:
        """Return the grant in force, or None when the lease is free or has expired."""
        with self._lock:
            held = self._grant.holder and not is_past(self._clock, *self._until)
            return self._grant if held else None

    def check(self, grant: Grant) -> None:
        """Raise FencedError unless `grant` is the last one given."""
        with self._lock:
            if not grant.holder or self._grant != grant:
                raise FencedError(
                    f"{grant.holder!r} wrote with epoch {grant.epoch}, but the lease is at epoch {self._grant.epoch} "
                    f"of {self._grant.holder or 'nobody'!r}; stop writing and acquire it again"
                )

    def _extend(self, ttl_s: float) -> None:
        self._until = (self._clock.epoch(), self._clock.monotonic() + ttl_s)


class InMemoryEventLog:
    """A log that lives as long as the process. Thread-safe."""

    def __init__(self, *, clock: Clock, lease: InMemoryLease) -> None:
        self._clock = clock
        self._lease = lease
        self._lock = Lock()
        self._rows: list[Recorded] = []
        self._by_id: dict[str, Recorded] = {}

    def append(self, facts: Sequence[Fact], *, grant: Grant) -> int:
        """Append all of `facts` or none; return the head afterwards."""
        check_ids(facts)
        with self._lock:
            self._lease.check(grant)
            known = [fact.id for fact in facts if fact.id in self._by_id]
            if known and len(known) < len(facts):
                raise ConflictError(f"of {len(facts)} facts {len(known)} are on record already, {known[0]} the first")
            if not known:
                now = self._clock.now()
                for seq, fact in enumerate(facts, start=len(self._rows) + 1):
                    row = Recorded(seq=seq, recorded_at=now, fact=fact)
                    self._rows.append(row)
                    self._by_id[fact.id] = row
            return len(self._rows)

    def read(self, *, after: int = 0) -> Iterator[Recorded]:
        """Yield the facts with ``seq > after``, in order, those included that come while it is read."""
        position = max(0, after)
        while position < len(self._rows):
            yield self._rows[position]
            position += 1

    def find(self, id: str) -> Recorded | None:
        """Return the fact with this id, or None."""
        return self._by_id.get(id)

    def head(self) -> int:
        """Return the greatest `seq`, 0 when empty."""
        return len(self._rows)


class InMemoryInbox:
    """A queue that lives as long as the process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: set[str] = set()
        self._pending: dict[str, Fact] = {}

    def post(self, fact: Fact) -> None:
        """Put `fact` into the queue; a repeat of its id changes nothing, even after it was taken."""
        check_ids([fact])
        with self._lock:
            if fact.id not in self._known:
                self._known.add(fact.id)
                self._pending[fact.id] = fact

    def pending(self) -> Sequence[Fact]:
        """Return what was posted and not yet taken, oldest first."""
        with self._lock:
            return tuple(self._pending.values())

    def take(self, ids: Sequence[str]) -> None:
        """Strike these ids off; unknown ones are ignored."""
        with self._lock:
            for id in ids:
                self._pending.pop(id, None)


@dataclass(slots=True, kw_only=True)
class InlineSteps:
    """Runs steps where they stand.

    Attributes
    ----------
    sleep_s
        What waits; virtual time gives its clock's `advance`.
    done
        Results by name and number of occurrence; hand it to the next run to resume after a planted crash.
    """

    sleep_s: Callable[[float], None] = time.sleep
    done: dict[tuple[str, int], str] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict, init=False)

    def run(self, name: str, function: Callable[[], str]) -> str:
        """Return the step's result, running it if it has none yet."""
        self._seen[name] = self._seen.get(name, 0) + 1
        place = (name, self._seen[name])
        if place not in self.done:
            self.done[place] = function()
        return self.done[place]

    def sleep(self, seconds: float) -> None:
        """Wait by `sleep_s`."""
        self.sleep_s(seconds)
