"""Shadow and canary: hold on nothing and on little, advance on proof, go back on harm."""

from datetime import UTC, datetime

import pytest

from anew.domain.errors import InvariantError
from anew.domain.evidence import Counts
from anew.domain.facts import Stage
from anew.rollout import Outcome, Probation
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def paired(lost: int, tied: int, won: int) -> Probation:
    counts = Counts(low=-1.0, high=1.0, counts=(lost, tied, won))
    return Probation(
        challenger=("v2", "d"),
        stage=Stage.SHADOW,
        share=0.0,
        since=T0,
        progress=T0,
        paired_down=counts,
        paired_up=counts,
    )


def arms(challenger: tuple[int, int] | None, champion: tuple[int, int] | None) -> Probation:
    """Return a canary step in which each arm was (right, wrong) so many times."""
    ours, theirs = (None if each is None else Counts(low=0.0, high=1.0, counts=each) for each in (challenger, champion))
    return Probation(
        challenger=("v2", "d"),
        stage=Stage.CANARY,
        share=0.1,
        since=T0,
        progress=T0,
        challenger_loss=ours,
        champion_loss=theirs,
    )


@pytest.mark.parametrize(
    ("lost", "tied", "won", "outcome"),
    [
        (0, 0, 0, Outcome.HOLD),
        (0, 0, 199, Outcome.HOLD),
        (199, 0, 0, Outcome.HOLD),
        (10, 80, 110, Outcome.ADVANCE),
        (0, 1000, 0, Outcome.ADVANCE),
        (100, 800, 100, Outcome.HOLD),
        (110, 80, 10, Outcome.HARM),
        (400, 2000, 200, Outcome.HARM),
    ],
)
def test_shadow(lost: int, tied: int, won: int, outcome: Outcome) -> None:
    assert Shadow(margin=0.01, at_least_rows=200).rule(paired(lost, tied, won)).outcome is outcome


def test_shadow_takes_each_rounding_against_its_own_claim() -> None:
    """A gain between grid points must prove neither non-inferiority nor harm by being rounded in its favour."""
    down, up = Counts(low=-1.0, high=1.0, counts=(500, 0, 0)), Counts(low=-1.0, high=1.0, counts=(0, 500, 0))
    probation = Probation(
        challenger=("v2", "d"),
        stage=Stage.SHADOW,
        share=0.0,
        since=T0,
        progress=T0,
        paired_down=down,
        paired_up=up,
    )
    assert Shadow().rule(probation).outcome is Outcome.HOLD


def test_shadow_without_counts_holds() -> None:
    nothing = Probation(challenger=("v2", "d"), stage=Stage.SHADOW, share=0.0, since=T0, progress=T0)
    assert Shadow().rule(nothing).outcome is Outcome.HOLD


@pytest.mark.parametrize(
    ("challenger", "champion", "outcome"),
    [
        (None, None, Outcome.HOLD),
        ((0, 0), (900, 100), Outcome.HOLD),
        ((90, 10), (0, 0), Outcome.HOLD),
        ((90, 9), (900, 100), Outcome.HOLD),
        ((90, 10), (0, 1), Outcome.HOLD),
        ((90, 10), (81, 18), Outcome.HOLD),
        ((90, 10), (900, 100), Outcome.ADVANCE),
        ((86, 14), (900, 100), Outcome.ADVANCE),
        ((84, 16), (900, 100), Outcome.HOLD),
        ((100, 900), (900, 100), Outcome.HARM),
        ((0, 30), (900, 100), Outcome.HARM),
    ],
)
def test_canary(challenger: tuple[int, int] | None, champion: tuple[int, int] | None, outcome: Outcome) -> None:
    """One lucky or unlucky answer of the champion's arm is nothing to compare with."""
    assert Canary(harm=0.05, at_least_rows=100).rule(arms(challenger, champion)).outcome is outcome


@pytest.mark.fault("P9")
def test_a_champion_that_goes_bad_at_the_same_time_is_not_held_against_the_challenger() -> None:
    assert Canary(at_least_rows=100).rule(arms((20, 80), (200, 800))).outcome is Outcome.ADVANCE


@pytest.mark.fault("P9")
def test_control_against_a_limit_of_its_own_the_challenger_would_take_the_blame() -> None:
    """The same challenger beside a champion that kept well."""
    assert Canary(at_least_rows=100).rule(arms((20, 80), (900, 100))).outcome is Outcome.HARM


def test_a_margin_asks_the_canary_for_proof() -> None:
    lax, strict = Canary(at_least_rows=100), Canary(at_least_rows=100, margin=0.02)
    few, many = arms((900, 100), (900, 100)), arms((90_000, 10_000), (90_000, 10_000))
    assert lax.rule(few).outcome is Outcome.ADVANCE
    assert strict.rule(few).outcome is Outcome.HOLD
    assert "not proved" in strict.rule(few).reason
    assert strict.rule(many).outcome is Outcome.ADVANCE


def test_rulings_carry_their_evidence() -> None:
    ruling = Canary().rule(arms((90, 10), (900, 100)))
    (evidence,) = ruling.evidence
    assert evidence.value == pytest.approx(0.0)
    assert (evidence.n, evidence.reference) == (100, 0.05)
    assert len(Shadow().rule(paired(10, 80, 110)).evidence) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: Shadow(margin=0.0),
        lambda: Shadow(alpha=0.5),
        lambda: Shadow(at_least_rows=0),
        lambda: Shadow(margin=float("nan")),
        lambda: Canary(harm=1.0),
        lambda: Canary(alpha=float("nan")),
        lambda: Canary(at_least_rows=-1),
        lambda: Canary(margin=0.0),
    ],
)
def test_settings_that_cannot_be_are_refused(make: object) -> None:
    with pytest.raises(InvariantError):
        make()  # type: ignore[operator]  # a lambda of the table
