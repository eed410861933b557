"""Significance: p-values that keep their promise, sizes without bias, intervals that hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from anew.domain.errors import InvariantError
from anew.stats.distance import psi
from anew.stats.profile import Reference
from anew.stats.significance import ks_significance, psi_bias, psi_evidence, psi_interval, psi_significance


@pytest.mark.parametrize(
    ("n", "m", "bins", "size"), [(100_000, 500, 10, 0.05), (1000, 1000, 4, 0.003), (50, 70, 2, 0.3)]
)
def test_p_values_are_those_of_scipys_chi_squared(n: int, m: int, bins: int, size: float) -> None:
    weight = n * m / (n + m)
    assert psi_significance(size, n, m, bins) == pytest.approx(stats.chi2.sf(weight * size, bins - 1))
    noncentral = stats.ncx2.sf(weight * size, bins - 1, weight * 0.01)
    assert psi_significance(size, n, m, bins, delta=0.01) == pytest.approx(noncentral, rel=1e-6, abs=1e-15)


def test_a_margin_makes_the_same_drift_less_significant() -> None:
    assert psi_significance(0.02, 10**6, 10**6, 10) < 1e-300
    assert psi_significance(0.02, 10**6, 10**6, 10, delta=0.02) == pytest.approx(0.5, abs=0.05)
    assert psi_significance(0.02, 10**6, 10**6, 10, delta=0.05) > 0.99
    assert psi_significance(0.0, 10, 10, 1) == 1.0


@pytest.mark.parametrize("m", [300, 5000])
def test_without_drift_p_values_are_uniform_and_the_bias_is_as_stated(m: int) -> None:
    rng = np.random.default_rng(11)
    shares = rng.dirichlet(np.full(10, 20.0))
    found = [psi_evidence(rng.multinomial(20_000, shares), rng.multinomial(m, shares)) for _ in range(1500)]
    p_values = np.array([evidence.p_value for evidence in found])
    for level in (0.01, 0.05, 0.2, 0.5):
        slack = 4 * math.sqrt(level * (1 - level) / 1500)
        assert abs((p_values < level).mean() - level) < slack + 0.1 * level, level
    sizes = np.array([evidence.psi for evidence in found])
    assert sizes.mean() == pytest.approx(psi_bias(20_000, m, 10), rel=0.06)
    corrected = np.array([evidence.corrected for evidence in found])
    assert abs(corrected.mean()) < 4 * corrected.std() / math.sqrt(1500)
    covered = np.array([evidence.interval.low == 0.0 for evidence in found]).mean()
    assert covered > 0.96


def test_intervals_hold_the_true_psi_at_their_level() -> None:
    rng = np.random.default_rng(12)
    p = np.full(10, 0.1)
    q = p * np.linspace(0.8, 1.2, 10)
    q /= q.sum()
    truth = float(((q - p) * np.log(q / p)).sum())
    found = [psi_evidence(rng.multinomial(50_000, p), rng.multinomial(3000, q), delta=truth) for _ in range(1000)]
    covered = np.mean([evidence.interval.low <= truth <= evidence.interval.high for evidence in found])
    assert 0.92 < covered < 0.975
    # H0: PSI <= truth is true, on its edge.
    assert 0.02 < np.mean([evidence.p_value < 0.05 for evidence in found]) < 0.08


def test_intervals_invert_the_noncentral_test() -> None:
    low, high = psi_interval(0.2, 10_000, 1000, 10, confidence=0.9)
    assert psi_significance(0.2, 10_000, 1000, 10, delta=low) == pytest.approx(0.05, abs=1e-6)
    assert psi_significance(0.2, 10_000, 1000, 10, delta=high) == pytest.approx(0.95, abs=1e-6)
    assert psi_interval(0.0, 10_000, 1000, 10) == (0.0, 0.0)
    assert psi_interval(4.0, 10**7, 10**7, 12).width < 0.02
    assert psi_interval(0.0, 10, 10, 1) == (0.0, 0.0)


def windows(shift: float, size: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return p-values of both tests, each of shape (runs,), on windows of a normal column moved by `shift`."""
    rng = np.random.default_rng(13)
    against = Reference.fit({"x": rng.normal(size=20_000)})
    own = against.own.columns["x"]
    found = [against.profile({"x": rng.normal(shift, size=size)}).columns["x"] for _ in range(runs)]
    return (
        np.array([psi_evidence(own, column).p_value for column in found]),
        np.array([ks_significance(own, column) for column in found]),
    )


def test_whole_columns_alarm_at_their_level_and_ks_sees_a_small_shift_sooner() -> None:
    index, gap = windows(0.0, 500, 600)
    # Windows share one reference, whose own error they all show; hence the slack above.
    assert 0.02 < (index < 0.05).mean() < 0.09
    assert 0.01 < (gap < 0.05).mean() < 0.09
    index, gap = windows(0.1, 500, 300)
    assert (gap < 0.01).mean() > (index < 0.01).mean() > 0.05


def test_ks_significance_is_scipys_asymptotic_one() -> None:
    rng = np.random.default_rng(14)
    reference, current = rng.normal(size=20_000), rng.normal(0.05, size=2000)
    against = Reference.fit({"x": reference})
    ours = ks_significance(against.own.columns["x"], against.profile({"x": current}).columns["x"])
    theirs = stats.ks_2samp(reference, current, method="asymp").pvalue
    assert theirs * 0.8 <= ours <= theirs * 2


def test_unsmoothed_identical_counts_are_no_evidence() -> None:
    evidence = psi_evidence([500, 500], [500, 500])
    assert (evidence.psi, evidence.p_value, evidence.interval.low) == (0.0, 1.0, 0.0)
    assert evidence.corrected < 0.0
    assert (evidence.bins, evidence.n, evidence.m) == (2, 1000, 1000)
    assert evidence.psi == psi([500, 500], [500, 500])


@pytest.mark.parametrize(
    ("size", "n", "m", "delta"),
    [(-0.1, 9, 9, 0.0), (math.nan, 9, 9, 0.0), (0.1, 9, 9, -1.0), (0.1, 0, 9, 0.0), (0.1, 9, 0, 0.0)],
)
def test_significance_of_nothing_is_refused(size: float, n: int, m: int, delta: float) -> None:
    with pytest.raises(InvariantError):
        psi_significance(size, n, m, 10, delta)
    with pytest.raises(InvariantError):
        psi_interval(0.1, 100, 100, 10, confidence=1.0)
