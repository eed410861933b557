"""A turn of the live loop: what comes first when something does not answer, and that nothing is taken twice."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import cast

import pytest

from anew.adapters.memory import InlineSteps, InMemoryEventLog, InMemoryInbox, InMemoryLease, ManualClock
from anew.domain.errors import FencedError, UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import (
    AccessGranted,
    EffectFailed,
    GuardrailTripped,
    IncidentRaised,
    RetiredScored,
    RetiredScoringAsked,
    RetrainAdmitted,
    RetrainApproved,
    RetrainCommanded,
    RetrainRequested,
    RolledBack,
    RolloutApproved,
    Ticked,
    TrafficApplied,
    TrainingPlanned,
)
from anew.domain.interval import Interval
from anew.feedback import Feedback
from anew.governance import Governance
from anew.governance.freeze import Once
from anew.loop.drain import Drainer, DrainReport
from anew.loop.engine import Engine, Stages
from anew.loop.guardrail import Guardrails
from anew.loop.lease_keeper import LEASE_S
from anew.loop.live import LiveLoop, LivePorts
from anew.loop.live_effects import LiveEffects
from anew.loop.observer import Observer
from anew.ports.effects import Steps
from anew.ports.traffic import VersionHealth
from anew.rollout import Rollout
from anew.testing.fake_traffic import FakeTraffic, worker_status
from anew.train import Train
from anew.trigger import Trigger
from tests.adapters.fact_samples import sample

WALL = datetime(2030, 1, 1, tzinfo=UTC)
OLD = datetime(2012, 6, 1, tzinfo=UTC)
LIMITS = Guardrails(error_rate=0.02, at_least_errors=5, p99_ms=1000.0)


@dataclass
class Drained:
    """A drainer that reports what it is told, or raises it."""

    next: list[DrainReport | Exception] = field(default_factory=list)

    def drain_once(self) -> DrainReport:
        """Report."""
        report = self.next.pop(0) if self.next else DrainReport()
        if isinstance(report, Exception):
            raise report
        return report


@dataclass
class Watching:
    """An observer that notes when it was turned."""

    turns: list[tuple[datetime, datetime, datetime | None]] = field(default_factory=list)

    def turn(self, now: datetime, wall: datetime, first: datetime | None) -> None:
        """Note."""
        self.turns.append((now, wall, first))


@dataclass
class Asked:
    """Effects that are asked for and never run."""

    ids: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Nothing to begin."""

    def ask(self, fact_id: str) -> None:
        """Note."""
        self.ids.append(fact_id)

    def active(self) -> frozenset[str]:
        """Return none."""
        return frozenset()

    def close(self) -> None:
        """Nothing to end."""


class Running:
    """Live effects that end as they are told."""

    def __init__(self, end: Callable[[Fact], Fact]) -> None:
        self._end = end
        self.ran: list[str] = []

    def run(self, fact: Fact, steps: Steps, beside: Sequence[Fact] = ()) -> tuple[Fact, ...]:  # noqa: ARG002  theirs
        """End what was asked, and all that waits beside it."""
        self.ran.append(fact.id)
        return tuple(self._end(each) for each in (fact, *beside))

    def used(self, _: Fact) -> float:
        """Say what its job took."""
        return 7.5


class Bed:
    """A loop over memory."""

    governance = Governance()

    def __init__(self, *, data_clock: bool = False) -> None:
        self.clock = ManualClock(WALL)
        self.lease = InMemoryLease(self.clock)
        grant = self.lease.acquire("one", LEASE_S)
        assert grant is not None
        self.grant = grant
        self.log = InMemoryEventLog(clock=self.clock, lease=self.lease)
        self.inbox = InMemoryInbox()
        self.traffic = FakeTraffic()
        self.drainer = Drained()
        self.observer = Watching()
        self.effects = Asked()
        self.data_clock = data_clock
        self.begin()

    def begin(self) -> None:
        """Make the loop, of what is there now."""
        ports = LivePorts(
            lease=self.lease,
            inbox=self.inbox,
            traffic=self.traffic,
            drainer=cast("Drainer", self.drainer),
            clock=self.clock,
        )
        self.loop = LiveLoop("m", self.engine(), ports, self.grant, guardrails=LIMITS, data_clock=self.data_clock)

    def engine(self) -> Engine:
        """Return an engine over what is on record."""
        stages: Stages = {
            "feedback": Feedback(),
            "trigger": Trigger(),
            "governance": self.governance,
            "train": Train(),
            "rollout": Rollout(),
        }
        engine = Engine(stages, self.log, self.grant)
        engine.recover()
        return engine

    def turn(self, seconds: float = 1.0) -> None:
        """Let time pass and turn once."""
        self.clock.advance(seconds)
        self.loop.turn(cast("Observer", self.observer), self.effects)

    def kinds(self) -> list[str]:
        """Return the kinds of the facts on record."""
        return [each.fact.kind for each in self.log.read()]

    def facts(self, kind: type[Fact]) -> list[Fact]:
        """Return the facts of a kind."""
        return [each.fact for each in self.log.read() if isinstance(each.fact, kind)]

    def probation(self) -> None:
        """Have v1 serve and v2 on probation, their routing in force."""
        for version, champion in (("v1", ""), ("v2", "v1")):
            approved = RolloutApproved(
                model="m", at=WALL, cause=version, version=version, champion=champion, digest=version * 2, by="test"
            )
            self.loop.submit(approved)
            for id in self.loop.pending():
                epoch = self.loop.state("rollout").epoch
                self.loop.submit(TrafficApplied(model="m", at=WALL, cause=id, epoch=epoch, workers=1))


def command(name: str, at: datetime = OLD) -> RetrainCommanded:
    return RetrainCommanded(model="m", at=at, command=name, by="ann", reason="please").caused_by("")


def test_a_command_is_taken_once_and_holds_from_now_on() -> None:
    bed = Bed()
    bed.inbox.post(command("a"))
    bed.turn()
    bed.turn()
    assert bed.inbox.pending() == ()
    (taken,) = bed.facts(RetrainCommanded)
    assert (taken.at, taken.id) == (WALL + timedelta(seconds=1), command("a").id)
    assert bed.kinds() == ["RetrainCommanded", "RetrainRequested", "RetrainApproved", "TrainingPlanned"]
    (planned,) = bed.facts(TrainingPlanned)
    assert isinstance(planned, TrainingPlanned)
    assert planned.span.end == taken.at


def test_a_command_whose_taking_was_not_noted_is_not_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bed = Bed()
    bed.inbox.post(command("a"))
    with monkeypatch.context() as broken:
        broken.setattr(bed.inbox, "take", lambda _: (_ for _ in ()).throw(UnavailableError("locked")))
        with pytest.raises(UnavailableError):
            bed.turn()
    bed.turn()
    assert bed.inbox.pending() == ()
    assert len(bed.facts(RetrainRequested)) == len(bed.facts(RetrainApproved)) == 1


def test_by_the_datas_clock_what_comes_in_with_the_walls_time_holds_just_after_the_newest_row() -> None:
    """A champion of the wall's present would have no window closed for as long as the data lies behind."""
    bed = Bed(data_clock=True)
    bed.loop.resume(OLD, OLD)
    micro = timedelta(microseconds=1)
    for name, at in (("late", WALL), ("early", OLD - timedelta(days=1)), ("first", OLD + micro)):
        bed.inbox.post(command(name, at))
    bed.inbox.post(replace(sample(AccessGranted), model="m", at=WALL).caused_by(""))
    bed.turn()
    assert [fact.at - OLD for fact in bed.facts(RetrainCommanded)] == [micro, timedelta(0), micro]
    assert [fact.at - OLD for fact in bed.facts(AccessGranted)] == [micro]
    (planned,) = bed.facts(TrainingPlanned)
    assert isinstance(planned, TrainingPlanned)
    assert planned.span.end == OLD + micro


def test_a_first_champion_that_a_person_asks_for_is_of_the_rows_that_there_are() -> None:
    """By the wall's present a span of history that ended long ago would hold no row."""
    bed = Bed()
    bed.loop.resume(OLD, OLD)
    bed.inbox.post(command("first"))
    bed.turn()
    bed.probation()
    bed.inbox.post(command("with a champion"))
    bed.turn()
    asked = [fact.at for fact in bed.facts(RetrainCommanded)]
    assert asked == [OLD + timedelta(microseconds=1), WALL + timedelta(seconds=2)]


def test_what_is_pending_is_asked_for_at_every_turn() -> None:
    bed = Bed()
    bed.inbox.post(command("a"))
    bed.turn()
    (asked,) = bed.loop.pending()
    assert set(bed.effects.ids) == {asked}
    bed.effects.ids.clear()
    bed.turn()
    assert set(bed.effects.ids) == {asked}


def test_by_the_wall_clock_it_observes_the_present() -> None:
    bed = Bed()
    bed.drainer.next = [DrainReport(oldest=OLD, newest=OLD)]
    bed.turn(5)
    assert bed.observer.turns == [(WALL + timedelta(seconds=5), WALL + timedelta(seconds=5), OLD)]


def test_by_the_datas_clock_it_observes_the_newest_row_and_never_goes_back() -> None:
    bed = Bed(data_clock=True)
    bed.turn()
    assert bed.observer.turns == []
    hours = [OLD + timedelta(hours=i) for i in range(4)]
    bed.drainer.next = [
        DrainReport(oldest=hours[1], newest=hours[2]),
        DrainReport(oldest=hours[0], newest=hours[1]),
        DrainReport(),
    ]
    for _ in range(3):
        bed.turn()
    assert [(now, first) for now, _, first in bed.observer.turns] == [
        (hours[2], hours[1]),
        (hours[2], hours[0]),
        (hours[2], hours[0]),
    ]
    assert bed.loop.event_time() == hours[2]


def test_event_time_is_taken_up_where_it_was_left() -> None:
    bed = Bed(data_clock=True)
    bed.loop.resume(OLD, OLD + timedelta(hours=3))
    bed.turn()
    assert bed.observer.turns[0][0] == OLD + timedelta(hours=3)
    assert bed.observer.turns[0][2] == OLD


def test_it_observes_no_more_often_than_it_must() -> None:
    bed = Bed()
    for _ in range(10):
        bed.turn(0.1)
    assert 3 <= len(bed.observer.turns) <= 4


def test_a_guardrail_trips_and_commands_are_heard_while_the_lake_does_not_answer() -> None:
    bed = Bed()
    bed.probation()
    sick = VersionHealth(version="v2", asked=100, failed={"crashed": 50})
    bed.traffic.report(replace(worker_status("0", epoch=2), challenger=sick))
    bed.inbox.post(command("a"))
    bed.drainer.next = [UnavailableError("the lake is down")]
    with pytest.raises(UnavailableError, match="the lake is down"):
        bed.turn()
    assert bed.observer.turns == []
    assert len(bed.facts(GuardrailTripped)) == len(bed.facts(RolledBack)) == len(bed.facts(RetrainCommanded)) == 1
    assert set(bed.loop.pending()) <= set(bed.effects.ids)
    bed.turn()
    assert len(bed.facts(GuardrailTripped)) == 1


def test_the_lease_is_kept_and_the_gateways_told_while_it_turns() -> None:
    bed = Bed()
    for _ in range(40):
        bed.turn(1)
    assert bed.lease.acquire("two", LEASE_S) is None
    assert 10 <= bed.traffic.beats <= 20


def test_a_loop_that_lost_its_lease_stops_before_it_does_anything() -> None:
    bed = Bed()
    bed.inbox.post(command("a"))
    bed.clock.advance(LEASE_S + 1)
    assert bed.lease.acquire("two", LEASE_S) is not None
    with pytest.raises(FencedError):
        bed.turn()
    assert bed.kinds() == []


def test_an_effect_ends_by_its_fact_and_a_late_end_is_fenced_off() -> None:
    bed = Bed()
    bed.loop.submit(command("a"))
    (id,) = bed.loop.pending()
    running = Running(
        lambda fact: EffectFailed(
            model="m", at=fact.at, cause=fact.id, effect=fact.asks, version="v1", reason="oom", detail="too large"
        )
    )
    work = bed.loop.work(cast("LiveEffects", running))
    assert list(work.pending()) == [id]
    work.run(id, InlineSteps())
    work.run(id, InlineSteps())
    work.exhausted(id)
    assert running.ran == [id]
    assert list(work.pending()) == []
    assert len(bed.facts(EffectFailed)) == 1


def test_an_effect_ends_at_the_event_time_of_its_end() -> None:
    """A rollout that began at the instant of its plan would have expired before its first label."""
    bed = Bed()
    bed.loop.submit(command("a"))
    (id,) = bed.loop.pending()
    bed.clock.advance(3600)
    running = Running(
        lambda fact: EffectFailed(
            model="m", at=fact.at, cause=fact.id, effect=fact.asks, version="v1", reason="oom", detail="too large"
        )
    )
    bed.loop.work(cast("LiveEffects", running)).run(id, InlineSteps())
    (failed,) = bed.facts(EffectFailed)
    assert failed.at == WALL + timedelta(hours=1)


def windows_to_score(count: int) -> list[RetiredScoringAsked]:
    hours = [WALL + timedelta(hours=i) for i in range(count + 1)]
    return [
        RetiredScoringAsked(
            model="m", at=WALL, version="v1", versions=(("v1", "d1"),), window=Interval(start=start, end=end)
        )
        for start, end in pairwise(hours)
    ]


def test_a_training_does_not_wait_for_the_windows_that_are_to_be_scored() -> None:
    bed = Bed()
    for each in windows_to_score(30):
        bed.loop.submit(each)
    bed.inbox.post(command("a"))
    bed.turn()
    assert len(bed.loop.pending()) == 31
    (planned,) = bed.facts(TrainingPlanned)
    oldest = bed.facts(RetiredScoringAsked)[0]
    assert set(bed.effects.ids) == {oldest.id, planned.id}  # two places of those who run effects, whatever waits


def test_windows_that_wait_are_scored_together_in_order() -> None:
    bed = Bed()
    asked = windows_to_score(30)
    for each in asked:
        bed.loop.submit(each)
    running = Running(
        lambda fact: RetiredScored(
            model="m", at=fact.at, cause=fact.id, version="v1", window=cast("RetiredScoringAsked", fact).window,
            evidence=(),
        )
    )  # fmt: skip
    work = bed.loop.work(cast("LiveEffects", running))
    (oldest,) = work.pending()
    work.run(oldest, InlineSteps())
    assert running.ran == [oldest]
    scored = [each for each in bed.facts(RetiredScored) if isinstance(each, RetiredScored)]
    assert [each.window for each in scored] == [each.window for each in asked]
    assert not work.pending()


def test_an_effect_that_is_given_up_ends_as_failed() -> None:
    bed = Bed()
    bed.loop.submit(command("a"))
    (id,) = bed.loop.pending()
    bed.loop.work(cast("LiveEffects", Running(lambda fact: fact))).exhausted(id)
    (failed,) = bed.facts(EffectFailed)
    assert isinstance(failed, EffectFailed)
    assert (failed.reason, failed.effect, failed.version, failed.compute_s) == ("exhausted", "snapshot", "v1", 7.5)
    assert bed.kinds()[-1] == "TrainingEnded"


def test_a_freeze_begins_and_ends_by_the_wall_clock_and_what_people_ask_comes_after_it() -> None:
    bed = Bed(data_clock=True)
    freeze = Once(name="x", start=WALL + timedelta(hours=1), end=WALL + timedelta(hours=2))
    bed.governance = Governance(freezes=(freeze,), holds_retrains=True)
    bed.loop.reconfigure(bed.engine, LIMITS)
    bed.loop.resume(OLD, OLD)
    bed.turn(3600.0)
    bed.inbox.post(command("a"))
    bed.turn(3599.0)
    assert [kind for kind in bed.kinds() if kind != "Ticked"] == [
        "FreezeBegan",
        "RetrainCommanded",
        "RetrainRequested",
        "RetrainHeld",
    ]
    bed.turn(1.0)
    assert bed.kinds()[-3:] == ["FreezeEnded", "RetrainApproved", "TrainingPlanned"]
    ticks = bed.facts(Ticked)
    assert len(ticks) == 2, "one for each edge, and none where nothing waits"
    assert {tick.at for tick in ticks} == {OLD}, "event time stands still while no rows come"


def test_other_settings_take_over_what_is_on_record() -> None:
    bed = Bed()
    bed.loop.submit(command("a"))
    (id,) = bed.loop.pending()
    bed.loop.reconfigure(bed.engine, LIMITS)
    assert list(bed.loop.pending()) == [id]
    bed.turn()
    assert id in bed.effects.ids


def test_facts_from_many_threads_are_recorded_one_after_another() -> None:
    bed = Bed()
    ticks = [Ticked(model="m", at=OLD + timedelta(seconds=i), wall=WALL) for i in range(60)]
    threads = [
        threading.Thread(target=lambda part=ticks[i::4]: [bed.loop.submit(each) for each in part]) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bed.facts(Ticked)) == 60
    assert bed.loop.state("feedback").ticked == ticks[-1].at


def test_a_command_that_is_not_admitted_is_struck_off_and_has_no_effect() -> None:
    bed = Bed()
    ports = replace(bed.loop._ports, admits=lambda fact: not isinstance(fact, RetrainCommanded))
    loop = LiveLoop("m", bed.engine(), ports, bed.grant, guardrails=LIMITS, data_clock=False)
    bed.inbox.post(RetrainCommanded(model="m", at=WALL, command="c", by="ada", reason="").caused_by(""))
    loop.turn(cast("Observer", bed.observer), bed.effects)
    assert bed.kinds() == []
    assert bed.inbox.pending() == ()


@pytest.mark.fault("L7")
def test_a_clock_that_steps_is_an_incident_and_the_lease_is_kept() -> None:
    bed = Bed()
    bed.turn()
    for step in (-3600.0, 3600.0):
        bed.clock.advance(step)
        bed.turn()
        bed.clock.advance(LEASE_S / 3)
        bed.turn()
    found = [each.fact for each in bed.log.read() if isinstance(each.fact, IncidentRaised)]
    assert [each.evidence[0].value for each in found] == [-3600.0]
    assert "the wall clock stepped by -3600 s" in found[0].message
    times = [now for now, _, _ in bed.observer.turns]
    assert times == sorted(times)
    assert bed.lease.current() == bed.grant


@pytest.mark.fault("L7")
def test_a_clock_that_is_behind_the_record_after_a_restart_is_an_incident_and_event_time_does_not_run_backwards() -> (
    None
):
    bed = Bed()
    bed.inbox.post(command("before"))
    bed.turn()
    bed.clock.step(timedelta(days=-1))
    bed.begin()
    bed.inbox.post(command("after"))
    bed.turn()
    bed.turn()
    (found,) = bed.facts(IncidentRaised)
    assert isinstance(found, IncidentRaised)
    assert found.evidence[0].value == pytest.approx(-86_400)
    assert f"has come to {found.at.isoformat()} on record" in found.message
    assert "monitoring stands still" in found.message
    times = [each.fact.at for each in bed.log.read()]
    assert times == sorted(times)
    assert [each.at for each in bed.facts(RetrainCommanded)] == [times[0], found.at]
    assert bed.observer.turns[-1][0] == found.at == times[0], "event time stands"


@pytest.mark.fault("L7")
def test_however_often_it_begins_behind_the_record_one_standstill_is_one_incident() -> None:
    bed = Bed()
    bed.inbox.post(command("before"))
    bed.turn()
    stood = bed.loop.event_time()
    bed.clock.step(timedelta(days=-1))
    for _ in range(3):
        bed.begin()
        bed.turn(60.0)
        assert bed.loop.event_time() == stood
    assert len(bed.facts(IncidentRaised)) == 1
    bed.clock.step(timedelta(days=2))
    bed.begin()
    bed.inbox.post(command("after"))
    bed.turn()
    bed.clock.step(timedelta(days=-1))
    bed.begin()
    bed.turn()
    assert len(bed.facts(IncidentRaised)) == 2, "another standstill is another incident"


@pytest.mark.parametrize("step", [timedelta(seconds=-1), timedelta(days=1)])
def test_a_clock_that_is_hardly_behind_the_record_after_a_restart_or_ahead_of_it_is_believed(step: timedelta) -> None:
    bed = Bed()
    bed.inbox.post(command("before"))
    bed.turn()
    bed.clock.step(step)
    bed.begin()
    bed.turn(2.0)
    assert bed.facts(IncidentRaised) == []
    assert bed.loop.event_time() == bed.clock.now()


def test_by_the_data_s_clock_a_wall_clock_that_is_behind_the_record_is_nothing() -> None:
    bed = Bed(data_clock=True)
    bed.drainer.next.append(DrainReport(oldest=WALL, newest=WALL))
    bed.turn()
    bed.inbox.post(command("before", WALL))
    bed.turn()
    bed.clock.step(timedelta(days=-1))
    bed.begin()
    bed.loop.resume(WALL, WALL)
    bed.turn()
    assert bed.facts(IncidentRaised) == []


def test_mail_is_on_record_whatever_the_turn_after_it_meets_and_a_freeze_that_began_meanwhile_before_it() -> None:
    bed = Bed()
    freeze = Once(name="x", start=WALL + timedelta(hours=1), end=WALL + timedelta(hours=2))
    bed.governance = Governance(freezes=(freeze,), holds_retrains=True, shares=True)
    bed.loop.reconfigure(bed.engine, LIMITS)
    bed.inbox.post(command("a"))
    bed.turn()
    (request,) = bed.facts(RetrainRequested)
    admitted = RetrainAdmitted(
        model="m", at=WALL, wall=WALL, request=request.id, reason="due", detail="", expected_s=0.0, waited_s=0.0
    ).caused_by(request.id)
    mail: deque[Fact] = deque([admitted])
    bed.clock.advance(3600)
    bed.loop.hear(mail, bed.effects)
    assert [each for each in bed.kinds() if each in ("FreezeBegan", "RetrainAdmitted", "RetrainHeld")] == [
        "FreezeBegan",
        "RetrainAdmitted",
        "RetrainHeld",
    ]
    assert not mail


def test_mail_that_cannot_be_recorded_is_kept_and_what_follows_from_it_begins_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bed = Bed()
    mail: deque[Fact] = deque([command("a"), command("b")])
    with monkeypatch.context() as broken:
        broken.setattr(bed.log, "append", lambda *_, **__: (_ for _ in ()).throw(UnavailableError("locked")))
        with pytest.raises(UnavailableError):
            bed.loop.hear(mail, bed.effects)
    assert len(mail) == 2
    bed.loop.hear(mail, bed.effects)
    assert not mail
    assert len(bed.facts(RetrainCommanded)) == 2
    assert set(bed.effects.ids) == set(bed.loop.pending()) != set()
