"""The contract of logs, leases and inboxes, as test classes that every adapter runs.

Subclass them in a test module and define the fixture `stores`::

    class TestMyStore(EventLogContract, LeaseContract, InboxContract):
        @pytest.fixture
        def stores(self, tmp_path): ...
"""
# ruff: noqa: S101, D102 - a contract is made of assertions, and its tests' names say what they demand

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Protocol

import pytest

from anew.domain.errors import ConflictError, FencedError, InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import RetrainCommanded, RetrainRequested, Ticked
from anew.domain.severity import Severity
from anew.ports.eventlog import EventLog, Grant, Lease
from anew.ports.inbox import Inbox

__all__ = ["EventLogContract", "InboxContract", "LeaseContract", "MovedClock", "Stores", "command"]

_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


class MovedClock(Protocol):
    """A clock that is moved by hand."""

    def advance(self, seconds: float, /) -> None:
        """Let time pass."""

    def step(self, by: timedelta, /) -> None:
        """Set the wall clock alone."""

    def restart(self) -> None:
        """Begin a new epoch of the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What a contract is tried on: empty stores that share their lease, and their clock."""

    log: EventLog
    lease: Lease
    inbox: Inbox
    clock: MovedClock

    def grant(self) -> Grant:
        """Acquire the lease for a minute."""
        grant = self.lease.acquire("tester", 60.0)
        assert grant is not None
        return grant


def command(number: int, *, model: str = "bikes") -> RetrainCommanded:
    """Return the fact of a person's command, with its id; each `number` gives another."""
    return RetrainCommanded(
        model=model, at=_AT + timedelta(seconds=number), command=f"c{number}", by="ada", reason="ünusual ✓ \n\x00"
    ).caused_by("")


class EventLogContract:
    """What every `EventLog` keeps."""

    def test_it_is_empty_at_first(self, stores: Stores) -> None:
        assert stores.log.head() == 0
        assert list(stores.log.read()) == []
        assert stores.log.find(command(1).id) is None

    def test_what_is_appended_is_read_back_in_order_and_whole(self, stores: Stores) -> None:
        facts: list[Fact] = [command(n) for n in range(3)]
        facts.append(
            RetrainRequested(
                model="bikes",
                at=_AT,
                reason="slo",
                triggers=("slo", "psi"),
                severity=Severity.HIGH,
                considered=(("n", "3"),),
            ).caused_by(facts[0].id)
        )
        assert stores.log.append(facts, grant=stores.grant()) == 4
        read = list(stores.log.read())
        assert [row.fact for row in read] == facts
        assert [type(row.fact) for row in read] == [type(fact) for fact in facts]
        assert [row.seq for row in read] == [1, 2, 3, 4]
        assert all(row.recorded_at.utcoffset() == timedelta(0) for row in read)

    def test_reading_begins_after_a_place(self, stores: Stores) -> None:
        stores.log.append([command(n) for n in range(5)], grant=stores.grant())
        assert [row.seq for row in stores.log.read(after=3)] == [4, 5]
        assert list(stores.log.read(after=5)) == []

    def test_long_records_are_read_whole(self, stores: Stores) -> None:
        grant = stores.grant()
        stores.log.append([command(n) for n in range(1203)], grant=grant)
        assert [row.seq for row in stores.log.read()] == list(range(1, 1204))
        assert stores.log.append([command(n) for n in range(1203)], grant=grant) == 1203

    def test_a_reader_may_append_in_the_middle_of_reading(self, stores: Stores) -> None:
        grant = stores.grant()
        stores.log.append([command(1), command(2)], grant=grant)
        reader = stores.log.read()
        assert next(reader).seq == 1
        stores.log.append([command(3)], grant=grant)
        assert next(reader).seq == 2

    def test_a_fact_is_found_by_its_id(self, stores: Stores) -> None:
        stores.log.append([command(1), command(2)], grant=stores.grant())
        found = stores.log.find(command(2).id)
        assert found is not None
        assert (found.seq, found.fact) == (2, command(2))

    def test_appending_again_changes_nothing(self, stores: Stores) -> None:
        grant = stores.grant()
        stores.log.append([command(1), command(2)], grant=grant)
        before = list(stores.log.read())
        assert stores.log.append([command(2), command(1)], grant=grant) == 2
        assert stores.log.append([], grant=grant) == 2
        assert list(stores.log.read()) == before

    def test_half_known_facts_are_a_conflict_and_nothing_is_appended(self, stores: Stores) -> None:
        grant = stores.grant()
        stores.log.append([command(1)], grant=grant)
        with pytest.raises(ConflictError, match=command(1).id):
            stores.log.append([command(2), command(1), command(3)], grant=grant)
        assert stores.log.head() == 1

    def test_facts_without_id_and_twins_are_refused(self, stores: Stores) -> None:
        grant = stores.grant()
        tick = Ticked(model="bikes", at=_AT, wall=_AT)
        with pytest.raises(InvariantError, match="Ticked has no id"):
            stores.log.append([command(1), tick], grant=grant)
        with pytest.raises(InvariantError, match="twice"):
            stores.log.append([command(1), command(1)], grant=grant)
        assert stores.log.head() == 0

    def test_nobody_writes_without_the_lease(self, stores: Stores) -> None:
        for holder, epoch in (("tester", 1), ("tester", 0), ("", 0)):
            with pytest.raises(FencedError):
                stores.log.append([command(1)], grant=Grant(holder=holder, epoch=epoch))
        assert stores.log.head() == 0

    def test_a_former_holder_is_fenced_off(self, stores: Stores) -> None:
        old = stores.grant()
        stores.log.append([command(1)], grant=old)
        stores.clock.advance(61.0)
        new = stores.lease.acquire("other", 60.0)
        assert new is not None
        with pytest.raises(FencedError, match=r"tester.*other"):
            stores.log.append([command(2)], grant=old)
        with pytest.raises(FencedError):
            stores.log.append([command(1)], grant=old)
        with pytest.raises(FencedError):
            stores.log.append([command(2)], grant=Grant(holder="other", epoch=old.epoch))
        assert stores.log.append([command(2)], grant=new) == 2

    def test_a_lease_given_back_writes_no_more(self, stores: Stores) -> None:
        grant = stores.grant()
        stores.lease.release(grant)
        with pytest.raises(FencedError, match="nobody"):
            stores.log.append([command(1)], grant=grant)

    def test_threads_append_without_loss_or_gap(self, stores: Stores) -> None:
        grant, barrier, threads, each = stores.grant(), Barrier(4), 4, 10

        def work(number: int) -> None:
            barrier.wait()
            for i in range(each):
                first = 2 * (number * each + i)
                stores.log.append([command(first), command(first + 1)], grant=grant)

        workers = [Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        rows = list(stores.log.read())
        assert [row.seq for row in rows] == list(range(1, 2 * threads * each + 1))
        ids = [row.fact.id for row in rows]
        assert sorted(ids) == sorted(command(n).id for n in range(2 * threads * each))
        # Both facts of one call stand beside each other.
        assert all(
            isinstance(a.fact, RetrainCommanded)
            and isinstance(b.fact, RetrainCommanded)
            and int(b.fact.command[1:]) == int(a.fact.command[1:]) + 1
            for a, b in zip(rows[::2], rows[1::2], strict=True)
        )


class LeaseContract:
    """What every `Lease` keeps."""

    def test_it_has_one_holder(self, stores: Stores) -> None:
        assert stores.lease.current() is None
        grant = stores.lease.acquire("a", 60.0)
        assert grant == Grant(holder="a", epoch=1)
        assert stores.lease.acquire("b", 60.0) is None
        assert stores.lease.current() == grant

    def test_the_holder_may_ask_again_and_keeps_its_epoch(self, stores: Stores) -> None:
        grant = stores.lease.acquire("a", 60.0)
        stores.clock.advance(40.0)
        assert stores.lease.acquire("a", 60.0) == grant
        stores.clock.advance(40.0)
        assert stores.lease.acquire("b", 60.0) is None

    def test_it_passes_on_when_it_expires(self, stores: Stores) -> None:
        old = stores.grant()
        stores.clock.advance(59.0)
        assert stores.lease.acquire("b", 60.0) is None
        stores.clock.advance(1.0)
        assert stores.lease.current() is None
        new = stores.lease.acquire("b", 60.0)
        assert new is not None
        assert new.epoch > old.epoch
        with pytest.raises(FencedError):
            stores.lease.renew(old, 60.0)
        stores.lease.release(old)
        assert stores.lease.current() == new

    def test_renewing_keeps_it(self, stores: Stores) -> None:
        grant = stores.grant()
        stores.clock.advance(50.0)
        stores.lease.renew(grant, 60.0)
        stores.clock.advance(50.0)
        assert stores.lease.acquire("b", 60.0) is None

    def test_given_back_it_is_free_and_the_epoch_grows(self, stores: Stores) -> None:
        old = stores.grant()
        stores.lease.release(old)
        stores.lease.release(old)
        with pytest.raises(FencedError):
            stores.lease.renew(old, 60.0)
        new = stores.lease.acquire("b", 60.0)
        assert new is not None
        assert new.epoch > old.epoch

    @pytest.mark.parametrize("step", [-3600.0, 86_400.0], ids=["back 1 h", "forward 1 d"])
    def test_setting_the_wall_clock_changes_no_term(self, stores: Stores, step: float) -> None:
        """L7: neither is another let in early, nor does it wait longer."""
        stores.grant()
        stores.clock.step(timedelta(seconds=step))
        stores.clock.advance(59.0)
        assert stores.lease.acquire("b", 60.0) is None
        assert stores.lease.current() is not None
        stores.clock.advance(1.0)
        assert stores.lease.acquire("b", 60.0) is not None

    def test_a_machine_started_anew_has_nobody_s_lease(self, stores: Stores) -> None:
        stores.clock.advance(1000.0)
        old = stores.grant()
        stores.clock.restart()
        new = stores.lease.acquire("b", 60.0)
        assert new is not None
        assert new.epoch > old.epoch
        with pytest.raises(FencedError):
            stores.lease.renew(old, 60.0)

    def test_whoever_waits_draws_out_no_term(self, stores: Stores) -> None:
        stores.grant()
        for _ in range(6):
            assert stores.lease.acquire("b", 60.0) is None
            stores.clock.advance(10.0)
        assert stores.lease.acquire("b", 60.0) is not None

    def test_a_holder_has_a_name(self, stores: Stores) -> None:
        with pytest.raises(InvariantError):
            stores.lease.acquire("", 60.0)

    def test_of_many_one_wins(self, stores: Stores) -> None:
        barrier, grants = Barrier(8), list[Grant | None]()

        def work(number: int) -> None:
            barrier.wait()
            grants.append(stores.lease.acquire(f"h{number}", 60.0))

        workers = [Thread(target=work, args=(n,)) for n in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(grants) == 8
        assert sum(grant is not None for grant in grants) == 1


class InboxContract:
    """What every `Inbox` keeps."""

    def test_what_was_posted_waits_in_order(self, stores: Stores) -> None:
        facts = [command(n) for n in (3, 1, 2)]
        for fact in facts:
            stores.inbox.post(fact)
        assert list(stores.inbox.pending()) == facts

    def test_taking_strikes_off_what_is_named(self, stores: Stores) -> None:
        for n in range(3):
            stores.inbox.post(command(n))
        stores.inbox.take([command(0).id, command(2).id, "unknown"])
        assert list(stores.inbox.pending()) == [command(1)]
        stores.inbox.take([])
        assert list(stores.inbox.pending()) == [command(1)]

    def test_a_repeat_changes_nothing(self, stores: Stores) -> None:
        stores.inbox.post(command(1))
        stores.inbox.post(command(1))
        assert list(stores.inbox.pending()) == [command(1)]
        stores.inbox.take([command(1).id])
        stores.inbox.post(command(1))
        assert list(stores.inbox.pending()) == []

    def test_a_fact_without_id_is_refused(self, stores: Stores) -> None:
        with pytest.raises(InvariantError, match="no id"):
            stores.inbox.post(Ticked(model="bikes", at=_AT, wall=_AT))
