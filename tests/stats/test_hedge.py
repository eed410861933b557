"""The hedge over spans: its equations against the textbook's, and what it does when one span is better."""

import numpy as np
import pytest

from anew.domain.errors import InvariantError
from anew.stats.hedge import SpanComparison, SpanFit, SpanHedge, compare_spans, span_ladder

SHORT, LONG = SpanFit(name="short", length=5.0), SpanFit(name="long", length=20.0)
LENGTHS = (5.0, 10.0, 20.0, 40.0)


def seen(difference: float, *, at: float = 40.0, error: float = 0.05) -> SpanComparison:
    return SpanComparison(at=at, first=LONG, second=SHORT, difference=difference, error=error)


def test_ladder_doubles_up_to_the_history() -> None:
    assert span_ladder(81.0) == (5.0, 10.0, 20.0, 40.0, 80.0, 81.0)
    assert span_ladder(10.0) == (5.0, 10.0)
    assert span_ladder(5.0) == (5.0,)
    with pytest.raises(InvariantError, match="no rungs"):
        span_ladder(0.0)


def test_nothing_seen_takes_the_longest_and_fits_another_beside_it() -> None:
    choice = SpanHedge().choose(LENGTHS, (), at=40.0)
    assert choice.chosen == 40.0
    assert choice.beside == 5.0  # the least like it
    assert choice.expected == (0.0, 0.0, 0.0, 0.0)


def test_one_length_needs_one_fit() -> None:
    choice = SpanHedge().choose((5.0,), (), at=5.0)
    assert (choice.chosen, choice.beside) == (5.0, None)


def test_what_is_seen_of_two_lengths_says_something_of_the_others() -> None:
    better_short = SpanHedge().choose(LENGTHS, (seen(-0.3),), at=40.0)
    assert better_short.chosen == 5.0
    short, ten, twenty, _ = better_short.expected
    assert short < ten < 0 < twenty
    better_long = SpanHedge().choose(LENGTHS, (seen(0.3),), at=40.0)
    assert better_long.chosen == 20.0
    assert better_long.expected[3] < better_long.expected[1]


def test_evidence_fades() -> None:
    old, new = seen(-0.3, at=0.0), seen(0.2, at=100.0)
    assert SpanHedge().choose(LENGTHS, (old, new), at=100.0).chosen == 20.0
    # Planted: without forgetting the stronger, older finding wins.
    assert SpanHedge(memory=1e9, own_memory=1e9).choose(LENGTHS, (old, new), at=100.0).chosen == 5.0


def test_posterior_equals_conditioning_of_the_joint_normal() -> None:
    """Independent source: simulate the process, keep draws near the observation, average them."""
    hedge = SpanHedge(memory=10.0)
    rng = np.random.default_rng(7)
    octave = np.log2([5.0, 20.0, 10.0])  # observed short and long, asked ten
    at = np.array([40.0, 40.0, 45.0])
    covariance = hedge.scale**2 * np.exp(
        -np.abs(octave[:, None] - octave[None, :]) / hedge.octaves - np.abs(at[:, None] - at[None, :]) / hedge.memory
    )
    covariance += np.diag([hedge.own**2] * 3)
    draws = rng.multivariate_normal(np.zeros(3), covariance, size=400_000)
    observed = draws[:, 0] - draws[:, 1] + rng.normal(0.0, 0.05, len(draws))
    slope = np.cov(draws[:, 2], observed)[0, 1] / observed.var()
    found = SpanHedge(memory=10.0).choose((10.0,), (seen(-0.2),), at=45.0)
    assert found.expected[0] == pytest.approx(-0.2 * slope, abs=2e-3)


def test_comparison_is_relative_and_paired() -> None:
    ours, theirs = np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0, 1.0])
    found = compare_spans(3.0, LONG, SHORT, (ours, theirs), inflation=1.0)
    assert found is not None
    assert found.difference == pytest.approx(0.5 / 0.75)
    assert found.error == pytest.approx(np.std(theirs - ours, ddof=1) / 2 / 0.75)


@pytest.mark.parametrize("losses", [[], [1.0], [0.0, 0.0], [np.nan, 1.0]])
def test_too_little_says_nothing(losses: list[float]) -> None:
    values = np.array(losses)
    assert compare_spans(3.0, LONG, SHORT, (values, values)) is None


def test_losses_of_other_rows_are_refused() -> None:
    with pytest.raises(InvariantError, match="not of the same rows"):
        compare_spans(3.0, LONG, SHORT, (np.ones(3), np.ones(2)))


@pytest.mark.parametrize("lengths", [(), (5.0, 5.0), (10.0, 5.0)])
def test_lengths_that_do_not_ascend_are_refused(lengths: tuple[float, ...]) -> None:
    with pytest.raises(InvariantError, match="ascending"):
        SpanHedge().choose(lengths, (), at=1.0)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InvariantError, match="memory"):
        SpanHedge(memory=0.0)
    with pytest.raises(InvariantError, match="positive"):
        SpanFit(name="none", length=0.0)


def regime_loss(length: float, age: float, rng: np.random.Generator) -> float:
    """Loss after a change `age` windows ago: rows from before it hurt, few rows hurt too."""
    stale = max(0.0, length - age) / length
    return float(0.1 + 0.3 * stale + 0.2 / np.sqrt(length) + rng.normal(0.0, 0.005))


def served(hedge: SpanHedge, change_every: int, seed: int) -> tuple[float, float]:
    """Return the loss of the hedge and of the best fixed length, over 400 windows, a fit every five."""
    rng = np.random.default_rng(seed)
    findings: list[SpanComparison] = []
    lost: list[float] = []
    fixed: dict[float, list[float]] = {length: [] for length in LENGTHS}
    for start in range(40, 440, 5):
        age = float(start % change_every)
        choice = hedge.choose(LENGTHS, findings, at=float(start))
        for length in LENGTHS:
            fixed[length].append(regime_loss(length, age, rng))
        lost.append(regime_loss(choice.chosen, age, rng))
        assert choice.beside is not None
        fits = [SpanFit(name=f"{start}/{length}", length=length) for length in (choice.chosen, choice.beside)]
        ours, theirs = (regime_loss(fit.length, age, rng) for fit in fits)
        level = (ours + theirs) / 2
        findings.append(
            SpanComparison(
                at=start + 5.0, first=fits[0], second=fits[1], difference=(theirs - ours) / level, error=0.05
            )
        )
    return float(np.mean(lost)), min(float(np.mean(each)) for each in fixed.values())


@pytest.mark.parametrize("change_every", [20, 100, 10_000])
def test_hedge_is_near_the_best_fixed_length(change_every: int) -> None:
    hedge, best = served(SpanHedge(), change_every, seed=3)
    assert hedge <= 1.1 * best


def test_without_learning_it_is_not() -> None:
    """The control: an all but infinite prior noise, nothing is learned, and the longest is always taken."""
    hedge, best = served(SpanHedge(scale=1e-9), 20, seed=3)
    assert hedge > 1.1 * best
