"""Regret: its recursion, the period it leads to, and the bound that makes it worth keeping."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.errors import InvariantError
from anew.stats.regret import Slope, ski_rental, waiting_cost


@given(st.lists(st.floats(0, 10), max_size=60), st.floats(0.5, 40))
def test_buying_at_the_price_costs_at_most_twice_the_optimum(rents: list[float], price: float) -> None:
    paid = 0.0
    for i in range(len(rents) + 1):
        if ski_rental(rents[:i]) >= price:
            paid = sum(rents[:i]) + price
            break
    else:
        paid = sum(rents)
    most_once = max(rents, default=0.0)  # rent is paid by the window: the last one may exceed what was left
    assert paid <= 2 * min(sum(rents), price) + most_once + 1e-9


def test_regret_never_falls_below_nothing() -> None:
    assert ski_rental([]) == 0.0
    assert ski_rental([-3.0, 2.0, -1.0, 4.0]) == 5.0


@pytest.mark.parametrize(("slope", "price"), [(1.0, 50.0), (0.2, 90.0), (5.0, 400.0)])
def test_waiting_reaches_the_price_at_the_cheapest_period(slope: float, price: float) -> None:
    def cost_of(period: int) -> float:
        return (waiting_cost(slope, period) + price) / period

    first = next(k for k in range(1, 1000) if waiting_cost(slope, k) >= price)
    best = min(range(1, 1000), key=cost_of)
    assert abs(first - math.sqrt(2 * price / slope)) < 2
    assert cost_of(first) <= 1.1 * cost_of(best)


def test_a_slope_moves_from_what_was_believed_to_what_was_seen_and_is_never_negative() -> None:
    slope = Slope.prior(2.0, weight=3.0)
    assert slope.value == 2.0
    for _ in range(200):
        slope = slope.seen(gap=-5.0, older=5, weight=1.0)
    assert slope.value == 0.0
    with pytest.raises(InvariantError, match="positive"):
        Slope.prior(1.0, weight=0.0)
