"""Orders that the gateways obey already, and settings that change, while the loop goes on: one order of things."""

import threading
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from anew.adapters.memory import InMemoryEventLog, InMemoryInbox, InMemoryLease, ManualClock
from anew.domain.fact import Fact
from anew.domain.facts import (
    EffectFailed,
    Order,
    ProjectChanged,
    RolledBack,
    RolloutApproved,
    TrafficApplied,
    TrafficOrdered,
    TrafficShifted,
    VersionPromoted,
)
from anew.domain.order import ordered
from anew.loop.engine import Engine
from anew.loop.guardrail import Guardrails
from anew.loop.live import LiveLoop, LivePorts
from anew.registry import Registry
from anew.rollout import Rollout, RolloutState
from anew.testing.fake_traffic import FakeTraffic, worker_status
from tests.loop.test_live import OLD, WALL, Drained

LIMITS = Guardrails(error_rate=0.02, at_least_errors=5, p99_ms=1000.0)


@dataclass
class Plane:
    """A loop that switches blue to green, over traffic in memory."""

    traffic: FakeTraffic = field(default_factory=FakeTraffic)

    def __post_init__(self) -> None:
        clock = ManualClock(WALL)
        lease = InMemoryLease(clock)
        grant = lease.acquire("one", 1e9)
        assert grant is not None
        self.grant = grant
        self.log = InMemoryEventLog(clock=clock, lease=lease)
        ports = LivePorts(
            lease=lease,
            inbox=InMemoryInbox(),
            traffic=self.traffic,
            drainer=Drained(),  # type: ignore[arg-type]  # as much of a drainer as a turn needs
            clock=clock,
        )
        self.loop = LiveLoop("m", self.engine(), ports, grant, guardrails=LIMITS, data_clock=True)
        self.traffic.report(worker_status("0"))

    def blank(self) -> Engine:
        """Return an engine that has not read the record."""
        return Engine({"registry": Registry(), "rollout": Rollout(blue_green=True)}, self.log, self.grant)

    def engine(self) -> Engine:
        """Return an engine over what is on record."""
        engine = self.blank()
        engine.recover()
        return engine

    @property
    def rollout(self) -> RolloutState:
        """Where traffic stands on record."""
        state: RolloutState = self.loop.state("rollout")
        return state

    def approve(self, version: str) -> None:
        """Let a version be rolled out."""
        champion = self.rollout.champion[0]
        self.loop.submit(
            RolloutApproved(
                model="m", at=OLD, cause=version, version=version, champion=champion, digest=f"d-{version}", by="x"
            )
        )

    def shifts(self) -> list[TrafficShifted]:
        """Return every shift that was asked for."""
        return [each for each in self.facts() if isinstance(each, TrafficShifted)]

    def publish(self) -> TrafficShifted:
        """Publish the last shift, and have it applied on record."""
        last = self.shifts()[-1]
        self.traffic.publish(last)
        self.apply(last)
        return last

    def apply(self, shift: TrafficShifted) -> None:
        """End a shift's effect well."""
        self.loop.submit(TrafficApplied(model="m", at=OLD, cause=shift.id, epoch=shift.epoch, workers=1))

    def facts(self) -> list[Fact]:
        """Return the record."""
        return [each.fact for each in self.log.read()]

    def order(self, action: Order) -> TrafficOrdered:
        """Order the gateways, as a person does."""
        return self.traffic.order("m", lambda found: ordered(found, action, command="c", by="ada", reason="now"))


def two_champions() -> Plane:
    """Return a plane on which v2 serves and v1 is its fallback."""
    plane = Plane()
    for version in ("v1", "v2"):
        plane.approve(version)
        plane.publish()
    plane.publish()
    assert (plane.rollout.champion[0], plane.rollout.fallback[0]) == ("v2", "v1")
    return plane


def test_the_loop_hears_of_an_order_before_anything_else_and_once() -> None:
    plane = two_champions()
    made = plane.order(Order.ROLLBACK)
    served = plane.traffic.published("m")
    assert served is not None
    assert (served.champion[0], served.epoch) == ("v1", 1000)
    before = len(plane.facts())
    plane.approve("v3")
    heard = plane.facts()[before:]
    assert [each.kind for each in heard[:3]] == ["TrafficOrdered", "RolledBack", "TrafficShifted"]
    assert heard[0].id == made.id
    assert next(each.version for each in heard if isinstance(each, RolledBack)) == "v2"
    plane.loop.submit(ProjectChanged(model="m", at=OLD, settings="s", code="c"))
    assert sum(isinstance(each, TrafficOrdered) for each in plane.facts()) == 1
    plane.publish()
    served = plane.traffic.published("m")
    assert served is not None
    assert served.epoch > 1000
    assert served.champion[0] == "v1"
    assert plane.traffic.ordered("m") == ()


def gone_back(killed_after: int, *, knows_its_record: bool = True) -> Plane:
    """Order a rollback; let the control plane die after so many of the steps to its end, begin anew and go on."""
    plane = two_champions()
    plane.order(Order.ROLLBACK)

    def hears() -> None:
        plane.loop.submit(ProjectChanged(model="m", at=OLD, settings=f"s{len(plane.facts())}", code="c"))

    def publishes() -> None:
        plane.traffic.publish(plane.shifts()[-1])

    def applies() -> None:
        plane.apply(plane.shifts()[-1])

    for number, step in enumerate((hears, publishes, applies, hears)):
        if number == killed_after:
            plane.loop.reconfigure(plane.engine if knows_its_record else plane.blank, LIMITS)
            hears()
        step()
    return plane


@pytest.mark.fault("P2")
@pytest.mark.parametrize("killed_after", range(4))
def test_a_rollback_whose_control_plane_dies_is_finished_by_the_next_one_and_once(killed_after: int) -> None:
    plane = gone_back(killed_after)
    said = [each.kind for each in plane.facts() if isinstance(each, TrafficOrdered | RolledBack)]
    assert said == ["TrafficOrdered", "RolledBack"]
    served = plane.traffic.published("m")
    assert served is not None
    assert (served.champion[0], served.epoch) == ("v1", 1001)
    assert (plane.rollout.champion[0], plane.rollout.epoch, plane.rollout.applied) == ("v1", 1001, 1001)
    assert set(plane.rollout.quarantined) == {("v2", "d-v2")}


@pytest.mark.fault("P2")
def test_control_a_control_plane_that_begins_without_its_record_takes_nobody_back() -> None:
    plane = gone_back(0, knows_its_record=False)
    assert not [each for each in plane.facts() if isinstance(each, RolledBack)]


@pytest.mark.fault("P4")
def test_a_promotion_that_an_order_outran_is_taken_back_and_not_held_against_its_publication() -> None:
    """The record promoted v2 while a person ended its rollout: the publication fails as superseded, after the order."""
    plane = Plane()
    plane.approve("v1")
    plane.publish()
    plane.approve("v2")
    beside = plane.shifts()[-1]
    plane.traffic.publish(beside)
    plane.order(Order.ABORT)
    plane.loop._engine.submit(TrafficApplied(model="m", at=OLD, cause=beside.id, epoch=beside.epoch, workers=1))
    promoted = plane.shifts()[-1]
    assert plane.rollout.champion[0] == "v2"
    plane.traffic.publish(promoted)
    plane.loop.submit(
        EffectFailed(
            model="m", at=OLD, cause=promoted.id, effect="shift", version="", reason="superseded", detail="epoch 1000"
        )
    )
    assert [(each.version, each.to) for each in plane.facts() if isinstance(each, RolledBack)] == [("v2", "v1")]
    plane.publish()
    served = plane.traffic.published("m")
    assert served is not None
    assert served.champion[0] == plane.rollout.champion[0] == "v1"


def promoted_during_a_reload(*, apart: bool) -> tuple[Plane, str]:
    """Let a promotion fall into the very middle of a change of settings; return the revision of the last one."""
    plane = Plane()
    plane.loop.submit(ProjectChanged(model="m", at=OLD, settings="old", code="c"))
    plane.approve("v1")
    plane.publish()
    plane.approve("v2")
    shift = plane.shifts()[-1]
    other = threading.Thread(target=plane.apply, args=(shift,))

    def record() -> None:
        later = OLD + timedelta(days=1)
        plane.loop.submit(ProjectChanged(model="m", at=later, settings="new", code="c"))

    def rebuild() -> Engine:
        engine = plane.engine()
        other.start()
        return engine

    if apart:
        plane.loop.reconfigure(rebuild, LIMITS)
        other.join()
        record()
    else:
        plane.loop.reconfigure(rebuild, LIMITS, record)
        other.join()
    return plane, "new"


def revisions(plane: Plane) -> list[tuple[str, str]]:
    """Return for each promotion but the first the settings it names, and those in force by the record before it."""
    found, settings = [], ""
    for fact in plane.facts():
        if isinstance(fact, ProjectChanged):
            settings = fact.settings
        elif isinstance(fact, VersionPromoted) and fact.previous:
            found.append((fact.settings, settings))
    return found


@pytest.mark.fault("P17")
def test_a_promotion_during_a_change_of_settings_names_the_one_revision_it_was_decided_under() -> None:
    plane, revision = promoted_during_a_reload(apart=False)
    assert revisions(plane) == [(revision, revision)]


@pytest.mark.fault("P17")
def test_control_with_the_revision_recorded_afterwards_the_new_settings_decide_under_the_old_name() -> None:
    plane, revision = promoted_during_a_reload(apart=True)
    assert revisions(plane) == [("old", "old")], f"decided by the engine of {revision}"
