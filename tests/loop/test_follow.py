"""Who is told of facts: each one, in order, and again from where it stopped."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.adapters.cursor_file import CursorFile
from anew.adapters.memory import InMemoryEventLog, InMemoryLease, ManualClock
from anew.domain.errors import IntegrityError, UnavailableError
from anew.domain.facts import RetrainCommanded
from anew.loop.follow import Follower
from anew.ports.eventlog import EventLog, Recorded


@dataclass
class Listener:
    """Takes facts, except those it was told to refuse once."""

    name: str = "listener"
    got: list[int] = field(default_factory=list)
    deaf_at: set[int] = field(default_factory=set)

    def take(self, recorded: Recorded) -> None:
        """Take it, or be deaf once."""
        if recorded.seq in self.deaf_at:
            self.deaf_at.discard(recorded.seq)
            raise UnavailableError("deaf")
        self.got.append(recorded.seq)


@pytest.fixture
def log() -> EventLog:
    clock = ManualClock()
    lease = InMemoryLease(clock)
    grant = lease.acquire("test", 1e9)
    assert grant is not None
    made = InMemoryEventLog(clock=clock, lease=lease)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(250):
        fact = RetrainCommanded(model="m", at=at, command=str(number), by="ann", reason="").caused_by("")
        made.append([fact], grant=grant)
    return made


def test_every_fact_is_told_once_and_in_order(log: EventLog, tmp_path: Path) -> None:
    listener = Listener()
    follower = Follower(log, listener, CursorFile(tmp_path / "cursor"))
    assert (follower.step(), follower.step()) == (250, 0)
    assert listener.got == list(range(1, 251))
    again = Listener()
    assert Follower(log, again, CursorFile(tmp_path / "cursor")).step() == 0  # another process goes on from there


def test_a_deaf_sink_is_offered_the_same_fact_again_before_any_other(log: EventLog, tmp_path: Path) -> None:
    listener = Listener(deaf_at={7, 180})
    follower = Follower(log, listener, CursorFile(tmp_path / "cursor"))
    assert follower.step() == 6
    assert follower.problem == "deaf"
    assert follower.step() == 173
    assert follower.step() == 71
    assert follower.problem == ""
    assert listener.got == list(range(1, 251))


def test_after_a_crash_facts_may_come_again_and_none_is_left_out(log: EventLog, tmp_path: Path) -> None:
    class KilledError(Exception):
        """The process ends here."""

    class Dying(Listener):
        """Ends at the 150th fact."""

        def take(self, recorded: Recorded) -> None:
            """Take it, and end."""
            super().take(recorded)
            if recorded.seq == 150:
                raise KilledError

    dying, after = Dying(), Listener()
    with pytest.raises(KilledError):
        Follower(log, dying, CursorFile(tmp_path / "cursor")).step()
    Follower(log, after, CursorFile(tmp_path / "cursor")).step()
    assert set(dying.got) | set(after.got) == set(range(1, 251))
    assert after.got == sorted(after.got)


def test_a_spoilt_cursor_says_what_to_do(log: EventLog, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("nothing")
    with pytest.raises(IntegrityError, match="delete it"):
        Follower(log, Listener(), CursorFile(tmp_path / "cursor"))
