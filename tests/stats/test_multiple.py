"""Holm's correction: its definition, its level under dependence, and what it gains on Bonferroni's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.errors import InvariantError
from anew.stats.multiple import holm

SHARES = st.lists(st.floats(0, 1), max_size=40)


def steps_down(p_values: list[float], alpha: float) -> set[int]:
    """Reject as Holm's paper does: the smallest first, until one is above alpha over the number left."""
    rejected: set[int] = set()
    for place in sorted(range(len(p_values)), key=lambda each: p_values[each]):
        if p_values[place] * (len(p_values) - len(rejected)) > alpha:
            break
        rejected.add(place)
    return rejected


@given(p_values=SHARES, alpha=st.floats(0.001, 0.5))
def test_rejecting_adjusted_values_is_stepping_down(p_values: list[float], alpha: float) -> None:
    assert {place for place, p in enumerate(holm(p_values)) if p <= alpha} == steps_down(p_values, alpha)


@given(p_values=SHARES)
def test_adjusting_keeps_the_order_and_lies_between_none_and_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= min(len(p_values) * p, 1.0) for p, q in zip(p_values, adjusted, strict=True))
    assert np.all(np.diff(np.array(adjusted)[np.argsort(p_values)]) >= 0)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_any_false_alarm_is_as_rare_as_asked_for_also_among_correlated_columns(shared: float) -> None:
    rng = np.random.default_rng(21)
    runs, columns, alpha = 4000, 30, 0.05
    common = rng.normal(size=(runs, 1))
    z = math.sqrt(shared) * common + math.sqrt(1 - shared) * rng.normal(size=(runs, columns))
    p_values = np.vectorize(lambda each: math.erfc(abs(each) / math.sqrt(2)))(z)
    alarmed = np.mean([min(holm(row.tolist())) <= alpha for row in p_values])
    assert alarmed < alpha + 4 * math.sqrt(alpha * (1 - alpha) / runs)
    assert alarmed > (0.03 if shared == 0 else 0.001)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(InvariantError, match="within"):
        holm([0.5, p])


def test_no_tests_need_no_correction() -> None:
    assert holm([]) == ()
