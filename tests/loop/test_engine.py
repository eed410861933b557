"""Draining depth first, one transaction for each fact from outside, folding, and a record that fails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from anew.adapters.memory import InMemoryEventLog, InMemoryLease, ManualClock
from anew.domain.errors import ConflictError, FencedError, InvariantError, UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import (
    RetrainApproved,
    RetrainCommanded,
    RetrainRefused,
    SnapshotTaken,
    Ticked,
    TrainingPlanned,
)
from anew.domain.interval import Interval
from anew.loop.engine import DRAIN_LIMIT, Engine, Stages
from anew.ports.eventlog import Grant
from anew.testing.faulty_log import Crashed, FaultyLog, LogFault
from anew.testing.small_stages import small_stages

T0 = datetime(2024, 1, 1, tzinfo=UTC)

Heard = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Saying:
    """A stage that remembers the kinds it heard and decides by a function of them."""

    says: Callable[[Heard, Fact], Sequence[Fact]]

    def initial(self) -> Heard:
        """Return nothing heard."""
        return ()

    def apply(self, state: Heard, fact: Fact) -> Heard:
        """Remember the kind."""
        return (*state, fact.kind)

    def decide(self, state: Heard, fact: Fact) -> tuple[Fact, ...]:
        """Say what the function says."""
        return tuple(self.says(state, fact))


@dataclass(slots=True)
class Place:
    """A record with a lease, and engines over it."""

    log: FaultyLog
    lease: InMemoryLease
    grant: Grant

    def engine(self, stages: Stages | None = None, seen: list[Fact] | None = None) -> Engine:
        """Return an engine as a new process has it."""
        engine = Engine(
            small_stages() if stages is None else stages,
            self.log,
            self.grant,
            (lambda _: None) if seen is None else seen.extend,
        )
        engine.recover()
        return engine


@pytest.fixture
def place() -> Place:
    clock = ManualClock()
    lease = InMemoryLease(clock)
    grant = lease.acquire("engine", 60.0)
    assert grant is not None
    return Place(FaultyLog(InMemoryEventLog(clock=clock, lease=lease)), lease, grant)


def tick(minute: int = 0) -> Ticked:
    at = T0 + timedelta(minutes=minute)
    return Ticked(model="m", at=at, wall=at)


def command(name: str = "c") -> RetrainCommanded:
    return RetrainCommanded(model="m", at=T0, command=name, by="ada", reason="try")


def approved() -> RetrainApproved:
    return RetrainApproved(model="m", at=T0, by="policy")


def planned() -> TrainingPlanned:
    span = Interval(start=T0, end=T0)
    return TrainingPlanned(
        model="m", at=T0, version="v1", champion="", span=span, holdout_share=0.1, seed=1, code="", settings=""
    )


def snapshot(cause: str) -> SnapshotTaken:
    return SnapshotTaken(
        model="m",
        at=T0,
        cause=cause,
        version="v1",
        champion="",
        digest="d",
        tables=(),
        span=Interval(start=T0, end=T0),
        rows=10,
        holdout_rows=1,
        seed=1,
    )


def nothing(_: Heard, __: Fact) -> Sequence[Fact]:
    return ()


def test_decisions_are_drained_before_the_next_stage_is_asked(place: Place) -> None:
    """Depth first: `after` hears the approval, which `before` decided, before it is asked about the tick itself."""
    asked: list[tuple[str, Heard]] = []

    def first(_: Heard, fact: Fact) -> Sequence[Fact]:
        return (approved(),) if isinstance(fact, Ticked) else ()

    def second(heard: Heard, fact: Fact) -> Sequence[Fact]:
        asked.append((fact.kind, heard))
        return ()

    recorded = place.engine({"before": Saying(first), "after": Saying(second)}).submit(tick())
    assert [fact.kind for fact in recorded] == ["Ticked", "RetrainApproved"]
    assert asked == [
        ("RetrainApproved", ("Ticked", "RetrainApproved")),
        ("Ticked", ("Ticked", "RetrainApproved")),
    ]


def test_ids_and_causes_follow_from_the_fact_that_led_to_them(place: Place) -> None:
    recorded = place.engine().submit(command())
    assert [fact.kind for fact in recorded] == [
        "RetrainCommanded",
        "RetrainRequested",
        "RetrainApproved",
        "TrainingPlanned",
    ]
    assert [fact.cause for fact in recorded[1:]] == [fact.id for fact in recorded[:-1]]
    assert recorded[0].id == command().caused_by("").id
    assert all(fact.caused_by(fact.cause) == fact for fact in recorded)


def test_a_fact_on_record_already_changes_nothing(place: Place) -> None:
    engine = place.engine()
    engine.submit(command())
    states, head = engine.states, place.log.head()
    assert engine.submit(command()) == ()
    assert (engine.states, place.log.head()) == (states, head)


def test_what_was_asked_for_is_pending_until_it_ends_once(place: Place) -> None:
    engine = place.engine()
    plan = engine.submit(command())[-1]
    assert dict(engine.pending) == {plan.id: plan}
    (taken,) = engine.submit(snapshot(plan.id))
    assert dict(engine.pending) == {taken.id: taken}
    assert engine.submit(snapshot(plan.id)) == ()
    assert engine.submit(snapshot("never asked")) == ()
    assert dict(place.engine().pending) == {taken.id: taken}


def test_each_transaction_is_told_after_it_is_recorded(place: Place) -> None:
    seen: list[Fact] = []
    engine = place.engine(seen=seen)
    recorded = engine.submit(command())
    assert tuple(seen) == recorded
    engine.submit(command())
    assert tuple(seen) == recorded


def test_recovering_folds_the_record_and_asks_nobody(place: Place) -> None:
    first = place.engine()
    first.submit(command())
    first.submit(tick())

    def forbidden(_: Heard, fact: Fact) -> Sequence[Fact]:
        raise AssertionError(f"asked about {fact.kind}")

    folded = place.engine({"quiet": Saying(forbidden)})
    assert folded.state("quiet") == tuple(each.fact.kind for each in place.log.read())
    assert place.engine().states == first.states


def test_recovering_again_folds_nothing_twice(place: Place) -> None:
    place.engine().submit(command())
    engine = place.engine({"quiet": Saying(nothing)})
    before = engine.state("quiet")
    assert engine.recover() == 0
    assert engine.state("quiet") == before


@pytest.mark.parametrize("fault", [LogFault.REFUSED, LogFault.UNKNOWN])
def test_a_record_that_does_not_answer_is_read_back(place: Place, fault: LogFault) -> None:
    """Whether it was appended cannot be known from the error: the engine reads it back before it goes on."""
    seen: list[Fact] = []
    engine = place.engine(seen=seen)
    place.log.fault = fault
    with pytest.raises(UnavailableError):
        engine.submit(command())
    again = engine.submit(command())
    assert bool(again) is (fault is LogFault.REFUSED)
    assert engine.states == place.engine().states
    assert dict(engine.pending) == dict(place.engine().pending)
    assert [fact.id for fact in seen] == [each.fact.id for each in place.log.read()]


def test_another_fact_after_an_unknown_outcome_is_decided_on_the_whole_record(place: Place) -> None:
    engine = place.engine()
    place.log.fault = LogFault.UNKNOWN
    with pytest.raises(UnavailableError):
        engine.submit(command("a"))
    assert [fact.kind for fact in engine.submit(command("b"))] == ["RetrainCommanded", "RetrainWithheld"]


@pytest.mark.parametrize("fault", [LogFault.CRASH_BEFORE, LogFault.CRASH_AFTER])
def test_a_crash_at_an_append_leaves_all_or_nothing(place: Place, fault: LogFault) -> None:
    place.log.fault = fault
    with pytest.raises(Crashed):
        place.engine().submit(command())
    assert place.log.head() == (4 if fault is LogFault.CRASH_AFTER else 0)
    engine = place.engine()
    engine.submit(command())
    assert place.log.head() == 4
    assert len(engine.pending) == 1


@pytest.mark.fault("K6")
def test_an_engine_whose_lease_has_passed_on_records_nothing(place: Place) -> None:
    engine = place.engine()
    before = engine.states
    place.lease.release(place.grant)
    assert place.lease.acquire("another", 60.0) is not None
    with pytest.raises(FencedError):
        engine.submit(command())
    assert (engine.states, place.log.head()) == (before, 0)


@pytest.mark.fault("K6")
def test_control_an_engine_that_nobody_asks_for_its_lease_writes_beside_its_successor(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = place.engine()
    place.lease.release(place.grant)
    assert place.lease.acquire("another", 60.0) is not None
    monkeypatch.setattr(InMemoryLease, "check", lambda *_: None)
    engine.submit(command())
    assert place.log.head() > 0


def test_an_error_in_a_stage_records_nothing(place: Place) -> None:
    def broken(_: Heard, fact: Fact) -> Sequence[Fact]:
        raise ZeroDivisionError

    engine = place.engine({"quiet": Saying(nothing), "broken": Saying(broken)})
    with pytest.raises(ZeroDivisionError):
        engine.submit(tick())
    assert place.log.head() == 0
    assert engine.state("quiet") == ()


def test_two_decisions_with_one_id_are_refused(place: Place) -> None:
    def twice(_: Heard, fact: Fact) -> Sequence[Fact]:
        return (approved(), approved()) if isinstance(fact, Ticked) else ()

    with pytest.raises(ConflictError, match="distinct keys"):
        place.engine({"twice": Saying(twice)}).submit(tick())
    assert place.log.head() == 0


def test_stages_that_answer_each_other_for_ever_are_stopped(place: Place) -> None:
    def ping(_: Heard, fact: Fact) -> Sequence[Fact]:
        return (RetrainRefused(model="m", at=T0, by="ping", reason=""),) if not isinstance(fact, RetrainRefused) else ()

    def pong(_: Heard, fact: Fact) -> Sequence[Fact]:
        return (approved(),) if isinstance(fact, RetrainRefused) else ()

    with pytest.raises(InvariantError, match=str(DRAIN_LIMIT)):
        place.engine({"ping": Saying(ping), "pong": Saying(pong)}).submit(tick())
    assert place.log.head() == 0


def test_a_long_chain_within_the_limit_is_recorded(place: Place) -> None:
    """The depth of a chain of causes is bounded by the limit alone, not by the interpreter's stack."""
    length = DRAIN_LIMIT - 1

    def on(heard: Heard, _: Fact) -> Sequence[Fact]:
        return (approved(),) if len(heard) <= length else ()

    assert len(place.engine({"on": Saying(on)}).submit(tick())) == DRAIN_LIMIT
