"""Commands to a loop: posted to its inbox, or carried out here when none is running."""

import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from time import monotonic

from anew.adapters.fact_reader import watch_record
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.narration import narrate
from anew.app.person import person_here
from anew.app.record import open_record
from anew.app.record_place import record_place
from anew.app.settings import Settings
from anew.app.status import loop_holder
from anew.domain.errors import ConflictError
from anew.domain.fact import Fact
from anew.domain.facts import OF_THE_WALL

__all__ = ["Answered", "command", "latest_time", "told_waiting"]

Make = Callable[[str, str, datetime], Fact]
"""Makes the command's fact from its unique id, who asks, and the event time."""

Answered = tuple[bool, Sequence[Fact]]
"""Whether a loop took the command, and the facts that followed from it."""

_PATIENCE_S = 10.0
_LOOK_S = 0.5


def command(settings: Settings, make: Make) -> Answered:
    """Post a command, wait until the loop has decided on it, and return what it decided.

    What a command itself asks for, as an erasure, is waited for as long again. With no loop running the command stays
    in the inbox and is taken at the next `anew up`; then nothing is returned. So it is when a loop that is there does
    not come to it in time.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    ConflictError
        Another one that counts as the same was on record before, and this one was dropped.
    """
    clock = SystemClock()
    with closing(open_record(settings.state)) as database, watch_record(record_place(settings.state)) as wait:
        log = SQLEventLog(database, clock=clock)
        at = latest_time(log) or clock.now()
        fact = make(uuid.uuid4().hex, person_here(settings.state), at).caused_by("")
        head = log.head()
        SQLInbox(database, clock=clock).post(fact)
        if SQLLease(database, clock=database.lease_clock(clock)).current() is None:
            return False, ()
        deadline = monotonic() + _PATIENCE_S
        while monotonic() < deadline:
            if (recorded := log.find(fact.id)) is not None:
                if recorded.seq <= head or _signed(recorded.fact) != _signed(fact):
                    raise ConflictError(f"this was dropped: it counts once, and on record is: {narrate(recorded.fact)}")
                return True, _outcome(log, head, fact, wait)
            wait(_LOOK_S)
    return False, ()


def told_waiting(state: Path, what: str = "the command") -> str:
    """Say of `what` was posted and is not on record yet what it waits for."""
    if loop_holder(state):
        return f"not taken yet: the loop is busy with what came before, and takes {what} next"
    return f"not taken yet: {what} is kept for the loop, which takes it when it runs (anew up)"


def _outcome(log: SQLEventLog, head: int, fact: Fact, wait: Callable[[float], object]) -> Sequence[Fact]:
    """Return what followed from a command that was taken; where it asks for an effect, once that has ended."""
    deadline = monotonic() + _PATIENCE_S
    while True:
        found = _following(log, head, fact.id)
        if not fact.asks or any(each.ends for each in found) or monotonic() >= deadline:
            return found
        wait(_LOOK_S)


def _signed(fact: Fact) -> bytes:
    """Return what a signature is over; nothing of a command that is not signed, whose id is its own."""
    return bytes(getattr(fact, "signed", b""))


def latest_time(log: SQLEventLog) -> datetime | None:
    """Return the event time of the newest fact; those of access have none, but the time of the wall clock."""
    head, back = log.head(), 1
    while True:
        facts = (recorded.fact for recorded in log.read(after=max(0, head - back)))
        times = [fact.at for fact in facts if not isinstance(fact, OF_THE_WALL)]
        if times or back >= head:
            return times[-1] if times else None
        back *= 2


def _following(log: SQLEventLog, head: int, id: str) -> Sequence[Fact]:
    """Return the facts after `head` that the fact with this id led to."""
    caused = {id}
    found = []
    for recorded in log.read(after=head):
        if recorded.fact.cause in caused:
            caused.add(recorded.fact.id)
            found.append(recorded.fact)
    return found
