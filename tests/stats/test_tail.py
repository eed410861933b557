"""Tails against scipy's, over the whole range that drift can ask for."""

import math

import numpy as np
import pytest
from scipy import special

from anew.domain.errors import InvariantError
from anew.stats.tail import chi_squared_tail, kolmogorov_tail, noncentral_share, noncentrality

FREEDOMS = (1, 2, 3, 9, 14, 63, 255, 1001)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_the_tail_of_chi_squared_is_scipys(freedom: int) -> None:
    for statistic in (0.0, 1e-12, 0.3, 1.0, *np.linspace(0.2, 6.0, 80) * freedom, 1500.0, 1e4, 1e7):
        theirs = float(special.chdtrc(freedom, statistic))
        assert chi_squared_tail(freedom, statistic) == pytest.approx(theirs, rel=1e-9, abs=1e-300), statistic
    assert chi_squared_tail(freedom, math.inf) == 0.0


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("noncentral", [0.0, 1e-9, 0.5, 3.0, 40.0, 454.5, 9000.0, 2e6])
def test_the_noncentral_share_is_scipys(freedom: int, noncentral: float) -> None:
    middle, spread = freedom + noncentral, math.sqrt(2 * freedom + 4 * noncentral)
    for away in (-5.0, -2.0, -0.5, 0.0, 0.7, 3.0, 6.0):
        statistic = max(middle + away * spread, 0.0)
        theirs = float(special.chndtr(statistic, freedom, noncentral))
        # Far out scipy sums its own series to 1e-12 only.
        assert noncentral_share(freedom, noncentral, statistic).share == pytest.approx(theirs, rel=1e-6, abs=2e-10)


def test_the_slope_is_that_of_the_share() -> None:
    step = 1e-4
    for freedom, noncentral, statistic in ((9, 3.0, 10.0), (9, 300.0, 280.0), (99, 50.0, 200.0)):
        ends = [noncentral_share(freedom, noncentral + each, statistic).share for each in (-step, step)]
        slope = noncentral_share(freedom, noncentral, statistic).slope
        assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("share", [0.005, 0.025, 0.5, 0.975, 0.999])
def test_the_noncentrality_is_that_which_gives_the_share(freedom: int, share: float) -> None:
    for statistic in (0.01, 1.0, freedom * 1.0, freedom + 10.0, 5000.0, 3e5):
        found = noncentrality(freedom, statistic, share)
        if found == 0.0:
            assert 1.0 - special.chdtrc(freedom, statistic) <= share
        else:
            assert noncentral_share(freedom, found, statistic).share == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize("scaled", [0.0, 0.01, 0.2, 0.5, 0.799, 0.8, 0.801, 1.0, 1.36, 2.0, 5.0, 12.0, 40.0])
def test_the_tail_of_kolmogorovs_distribution_is_scipys(scaled: float) -> None:
    assert kolmogorov_tail(scaled) == pytest.approx(float(special.kolmogorov(scaled)), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(("freedom", "statistic"), [(0, 1.0), (-1, 1.0), (math.nan, 1.0), (3, -1.0), (3, math.nan)])
def test_what_no_test_gives_is_refused(freedom: float, statistic: float) -> None:
    for asked in (
        lambda: chi_squared_tail(freedom, statistic),
        lambda: noncentral_share(freedom, 1.0, statistic),
        lambda: noncentrality(freedom, statistic, 0.5),
    ):
        with pytest.raises(InvariantError):
            asked()


def test_nonsense_is_refused() -> None:
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(InvariantError, match="between 0 and 1"):
            noncentrality(3, 4.0, share)
    with pytest.raises(InvariantError, match="noncentrality"):
        noncentral_share(3, -1.0, 4.0)
    with pytest.raises(InvariantError, match="0 or more"):
        kolmogorov_tail(-1.0)
