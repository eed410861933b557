"""What a canary is judged by, and what the champion is: each by its own, whoever goes bad."""

import pytest

from anew.domain.facts import AlertRaised, RolledBack, RolloutObserved, Stage
from anew.monitor.slo import SLO
from anew.rollout import Outcome
from anew.rollout.canary import Canary
from tests.loop.observed import START, Bed, hour

OBJECTIVE = SLO(metric="error", at_most=0.3, at_least_rows=20)
PER_ARM, SICK_FROM, HOURS = 50, 4, 8


def canary(champion: float, challenger: float) -> Bed:
    """Run a canary of half the traffic for some hours; each arm errs on one in ten, and on so many from an hour on."""
    bed = Bed(detectors=(OBJECTIVE,))
    bed.approve("v1", START)
    bed.approve("v2", START)
    bed.serve("first", hour(0.1))
    bed.judge.outcome = Outcome.ADVANCE
    bed.turn(hour(1))
    bed.apply()
    # One that takes no step before the end, so that nothing but harm ends the canary.
    bed.judge = Canary(at_least_rows=PER_ARM * HOURS * 2)  # type: ignore[assignment]  # a judge for another
    bed.boot()
    assert bed.engine.state("rollout").probation.stage is Stage.CANARY
    for at in range(1, HOURS):
        for i in range(PER_ARM):
            for arm, version, sick in (("champion", "v1", champion), ("challenger", "v2", challenger)):
                name, wrong = f"{version}-{at}-{i}", 0.1 if at < SICK_FROM else sick
                bed.serve(name, hour(at + (i + 1) / 100), version=version, arm=arm)
                bed.label(name, int(i >= wrong * PER_ARM), hour(at + 0.9))
        bed.turn(hour(at + 1))
    return bed


@pytest.mark.fault("P9")
@pytest.mark.parametrize("sick", [0.5, 0.9])
def test_a_champion_that_goes_bad_with_its_challenger_is_told_and_the_challenger_is_not_taken_back(sick: float) -> None:
    bed = canary(sick, sick)
    found = bed.facts(AlertRaised)
    assert {(each.detector, each.version) for each in found} == {(OBJECTIVE.key, "v1")}
    assert [each.window.start for each in found] == [hour(at) for at in range(SICK_FROM, HOURS)]
    assert not bed.facts(RolledBack)
    assert bed.facts(RolloutObserved)[-1].challenger_loss.mean == pytest.approx(sick)
    assert bed.engine.state("rollout").probation.challenger[0] == "v2"


@pytest.mark.fault("P9")
def test_control_a_challenger_that_goes_bad_alone_is_taken_back() -> None:
    bed = canary(0.1, 0.9)
    (back,) = bed.facts(RolledBack)
    assert (back.version, back.to) == ("v2", "v1")
    assert back.reason.startswith("canary: excess loss")


@pytest.mark.fault("P9")
def test_control_where_both_keep_well_nothing_is_told() -> None:
    bed = canary(0.1, 0.1)
    assert not bed.facts(AlertRaised)
    assert not bed.facts(RolledBack)
