"""Orders to the gateways that are given while the loop is busy: what it decides afterwards obeys them.

So does what it has decided and not published yet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from anew.adapters.memory import InMemoryInbox, ManualClock
from anew.domain.fact import Fact
from anew.domain.facts import Order, RolledBack, RolloutApproved, Stage, TrafficApplied, TrafficShifted, VersionPromoted
from anew.domain.order import ordered
from anew.loop.drain import DrainReport
from anew.loop.guardrail import Guardrails
from anew.loop.live import LiveLoop, LivePorts
from anew.loop.observer import Observer
from anew.ports.eventlog import Grant
from anew.rollout import Outcome, RolloutState
from anew.testing.fake_traffic import FakeTraffic, worker_status
from tests.loop.observed import WALL, Bed, hour
from tests.loop.test_live import Asked

LIMITS = Guardrails(error_rate=0.02, at_least_errors=5, p99_ms=1000.0)
ACTIONS = tuple(Order)


class Meanwhile:
    """Something that takes time, in which once something else happens."""

    happens: Callable[[], object] | None = None

    def pass_by(self) -> None:
        """Let it happen."""
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()


class Slow(Meanwhile):
    """A drainer in whose every call an hour of event time goes by."""

    hours = 0

    def drain_once(self) -> DrainReport:
        """Report the hour."""
        self.pass_by()
        self.hours += 1
        return DrainReport(oldest=hour(0), newest=hour(self.hours))


class Counting(Meanwhile, dict[str, float]):
    """What challengers' processes took: the last that is asked for before a look at one is told."""

    def get(self, key: str, default: float = 0.0) -> float:  # type: ignore[override]  # as it is called
        """Count."""
        self.pass_by()
        return super().get(key, default)


@dataclass
class Busy:
    """A loop that observes: v1 serves, v0 is its fallback, and v2 is on probation and would go on at any look.

    `heeds` is whether what is observed goes to the loop, or past it to the engine.
    """

    stage: Stage
    heeds: bool = True
    counting: Counting = field(default_factory=Counting)
    drainer: Slow = field(default_factory=Slow)
    traffic: FakeTraffic = field(default_factory=FakeTraffic)

    def __post_init__(self) -> None:
        self.bed = Bed(taken_s=self.counting)
        self.clock = ManualClock(WALL)
        self.begin()
        self.traffic.report(worker_status("0"))
        self.bed.judge.outcome = Outcome.ADVANCE
        for version, steps in (("v0", 0), ("v1", 2), ("v2", 0 if self.stage is Stage.SHADOW else 1)):
            self.approve(version, hour(self.drainer.hours))
            for _ in range(steps):
                self.turn()
        assert (self.rollout.champion[0], self.rollout.fallback[0]) == ("v1", "v0")
        assert self.rollout.probation is not None
        assert (self.rollout.probation.challenger[0], self.rollout.probation.stage) == ("v2", self.stage)

    def begin(self) -> None:
        """Begin as a loop that is started does."""
        ports = LivePorts(
            lease=self.bed.lease,
            inbox=InMemoryInbox(),
            traffic=self.traffic,
            drainer=self.drainer,  # type: ignore[arg-type]  # as much of a drainer as a turn needs
            clock=self.clock,
        )
        self.loop = LiveLoop("m", self.bed.engine, ports, self.bed.grant, guardrails=LIMITS, data_clock=True)
        self.observer = Observer(self.bed.plan, self.loop if self.heeds else self.bed.engine, self.bed.lake)

    @property
    def rollout(self) -> RolloutState:
        """Where traffic stands on record."""
        state: RolloutState = self.loop.state("rollout")
        return state

    def approve(self, version: str, at: datetime) -> None:
        """Let a version be rolled out."""
        champion = self.rollout.champion[0]
        self.loop.submit(
            RolloutApproved(
                model="m", at=at, cause=version, version=version, champion=champion, digest=f"d-{version}", by="x"
            )
        )
        self.publish()

    def turn(self) -> None:
        """Turn once, and publish what came of it."""
        self.clock.advance(2)
        self.loop.turn(self.observer, Asked())
        self.publish()

    def publish(self) -> None:
        """Publish every shift, and end it well."""
        for asked in [self.bed.engine.pending[id] for id in self.loop.pending()]:
            if isinstance(asked, TrafficShifted):
                self.traffic.publish(asked)
                self.loop.submit(TrafficApplied(model="m", at=asked.at, cause=asked.id, epoch=asked.epoch, workers=1))

    def order(self, action: Order) -> None:
        """Order the gateways, as a person does."""
        self.traffic.order("m", lambda found: ordered(found, action, command=action, by="ada", reason="now"))

    def routing(self) -> tuple[object, ...]:
        """Return what the gateways answer by, whatever its epoch."""
        found = self.traffic.published("m")
        assert found is not None
        return found.stage, found.share, found.champion, found.challenger, found.fallback

    def promoted(self) -> list[str]:
        """Return who was promoted."""
        return [each.version for each in self.bed.facts(VersionPromoted)]


def ordered_meanwhile(busy: Busy, action: Order, where: Meanwhile) -> tuple[object, ...]:
    """Turn while `action` is ordered; return what the gateways answered by in the moment of the order."""
    if action is Order.RESUME:
        busy.order(Order.HOLD)
        busy.turn()
    seen: list[tuple[object, ...]] = []

    def order() -> None:
        busy.order(action)
        seen.append(busy.routing())

    where.happens = order
    busy.turn()
    (routing,) = seen
    return routing


@pytest.mark.fault("P4")
@pytest.mark.parametrize("looking", [False, True], ids=["draining", "looking"])
@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.CANARY])
@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_ordered_while_rows_are_drained_or_looked_at_outranks_what_they_lead_to(
    action: Order, stage: Stage, *, looking: bool
) -> None:
    busy = Busy(stage)
    routing = ordered_meanwhile(busy, action, busy.counting if looking else busy.drainer)
    assert busy.routing() == routing, "the gateways go on as they were told"
    assert busy.promoted() == ["v0", "v1"]
    assert (busy.rollout.champion[0], busy.rollout.fallback[0]) == ("v1", "v0")
    ended = [each.version for each in busy.bed.facts(RolledBack)]
    assert ended == (["v2"] if action in (Order.ABORT, Order.ROLLBACK) else [])
    busy.turn()
    assert (busy.routing() == routing) == (action is not Order.RESUME), "let go, it takes its step, and else none"


def promoted_and_ordered(busy: Busy, action: Order, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn, so that v2 is promoted on record, and order `action` before the gateways hear of it."""
    append = busy.bed.log.append

    def slow(facts: Sequence[Fact], *, grant: Grant) -> None:
        if any(isinstance(each, VersionPromoted) for each in facts):
            busy.order(action)
        append(facts, grant=grant)

    with monkeypatch.context() as patch:
        patch.setattr(busy, "publish", lambda: None)
        if when == "in the commit":
            patch.setattr(busy.bed.log, "append", slow)
        busy.turn()
    assert busy.promoted() == ["v0", "v1", "v2"]
    if when != "in the commit":
        busy.order(action)
    if when == "before a restart":
        busy.bed.boot()
        busy.begin()


@pytest.mark.fault("P4")
@pytest.mark.parametrize("when", ["in the commit", "after it", "before a restart"])
@pytest.mark.parametrize("action", [Order.HOLD, Order.ABORT, Order.ROLLBACK])
def test_what_is_ordered_before_a_promotion_on_record_is_published_takes_it_back(
    action: Order, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Busy(Stage.CANARY)
    promoted_and_ordered(busy, action, when, monkeypatch)
    for _ in range(2):
        busy.turn()
        assert busy.routing() == (Stage.STEADY, 0.0, ("v1", "d-v1"), ("", ""), ("v0", "d-v0"))
    assert (busy.rollout.champion[0], busy.rollout.fallback[0]) == ("v1", "v0")
    assert [(each.version, each.to) for each in busy.bed.facts(RolledBack)] == [("v2", "v1")]
    known = busy.loop.state("registry")
    assert [known.named(alias).version for alias in ("champion", "fallback")] == ["v1", "v0"]
    before = busy.loop.state("rollout")
    busy.bed.boot()
    busy.begin()
    assert busy.rollout == before, "and so it is read back"


@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.CANARY])
def test_control_without_an_order_the_rollout_goes_on_in_that_turn(stage: Stage) -> None:
    busy = Busy(stage)
    before = busy.routing()
    busy.turn()
    assert busy.routing() != before
    assert busy.promoted() == (["v0", "v1"] if stage is Stage.SHADOW else ["v0", "v1", "v2"])


@pytest.mark.fault("P4")
@pytest.mark.parametrize("action", [Order.HOLD, Order.ABORT])
def test_control_what_is_observed_past_the_loop_promotes_over_an_order(action: Order) -> None:
    busy = Busy(Stage.CANARY, heeds=False)
    ordered_meanwhile(busy, action, busy.counting)
    assert busy.promoted() == ["v0", "v1", "v2"]
