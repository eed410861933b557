"""The lake does not answer while a canary runs: it takes no step on what nobody can read, and goes on afterwards."""

from dataclasses import dataclass

import pytest

from anew.domain.errors import UnavailableError
from anew.domain.facts import RolledBack, Stage, TrafficShifted
from anew.loop.drain import DrainReport
from anew.rollout.canary import Canary
from tests.loop.observed import hour
from tests.loop.test_live_busy import Busy, Slow

READS = ("predictions", "labels", "feedback", "fresh", "deliveries", "labelled", "versions")


@dataclass
class Away(Slow):
    """A drainer whose lake may be away, for itself or for who reads next: who closes windows, or who looks."""

    missed: str = ""

    def drain_once(self) -> DrainReport:
        """Report an hour, or a part of one in which no window ends, or that there is no lake to drain to."""
        if self.missed == "draining":
            raise UnavailableError("the lake is away")
        if self.missed == "looking":
            return DrainReport(oldest=hour(0), newest=hour(self.hours + 0.95))
        return super().drain_once()


def canary(lost: int) -> Busy:
    """Bring v2 into a canary of which the labels are there: of 40 in its arm, `lost` show an error."""
    busy = Busy(Stage.CANARY, drainer=Away())
    busy.bed.judge = Canary(at_least_rows=30)  # type: ignore[assignment]  # a judge for another
    restart(busy)
    for i in range(80):
        at, ours = hour(busy.drainer.hours + 0.1 + i / 100), i % 2
        who = {"version": "v2", "arm": "challenger"} if ours else {"version": "v1", "arm": "champion"}
        busy.bed.serve(f"r{i}", at, **who)
        busy.bed.label(f"r{i}", int(not ours or i // 2 >= lost), at)
    return busy


def restart(busy: Busy) -> None:
    busy.bed.boot()
    busy.begin()


def turned_in_vain(busy: Busy, missed: str, turns: int, *, restarts: bool) -> None:
    """Turn while the lake is away."""

    def unread(*_: object, **__: object) -> None:
        raise UnavailableError("the lake is away")

    assert isinstance(busy.drainer, Away)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(busy.drainer, "missed", missed)
        for name in READS:
            patch.setattr(busy.bed.lake, name, unread)
        for _ in range(turns):
            with pytest.raises(UnavailableError):
                busy.turn()
            if restarts:
                restart(busy)


@pytest.mark.fault("P7")
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("missed", ["draining", "closing", "looking"])
@pytest.mark.parametrize(("lost", "promoted"), [(0, ["v0", "v1", "v2"]), (40, ["v0", "v1"])])
def test_while_labels_cannot_be_read_a_canary_holds_and_then_ends_by_them(
    lost: int, promoted: list[str], missed: str, *, restarts: bool
) -> None:
    busy = canary(lost)
    routing, shifts = busy.routing(), len(busy.bed.facts(TrafficShifted))
    turned_in_vain(busy, missed, 10, restarts=restarts)
    assert busy.routing() == routing
    assert len(busy.bed.facts(TrafficShifted)) == shifts
    assert busy.promoted() == ["v0", "v1"]
    assert not busy.bed.facts(RolledBack)
    busy.turn()
    busy.turn()
    assert busy.promoted() == promoted
    assert [each.version for each in busy.bed.facts(RolledBack)] == (["v2"] if lost else [])
    assert busy.rollout.probation is None


@pytest.mark.fault("P7")
def test_control_while_they_can_be_read_the_same_canary_takes_its_step_at_once() -> None:
    busy = canary(0)
    busy.turn()
    busy.turn()
    assert busy.promoted() == ["v0", "v1", "v2"]
