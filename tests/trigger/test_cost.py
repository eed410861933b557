"""What a retrain costs, in losses of rows; an unknown price is none."""

import pytest

from anew.domain.errors import InvariantError
from anew.trigger.cost import Cost


def test_without_a_price_of_errors_a_retrain_is_worth_what_a_new_model_loses_in_a_window() -> None:
    assert Cost().price(40.0, ()).value == 40.0
    assert Cost(windows=0.5).price(40.0, (3600.0,)).value == 20.0
    assert Cost().price(None, (3600.0,)).value is None
    assert Cost().price(0.0, ()).value == 1.0  # a flawless model makes no retrain free


def test_a_declared_price_is_divided_by_that_of_an_error() -> None:
    assert Cost(retrain=5.0, error=0.05).price(None, ()).value == pytest.approx(100.0)


def test_measured_runs_are_paid_by_the_hour_and_none_is_no_price() -> None:
    cost = Cost(error=0.01, compute_hour=2.0)
    assert cost.price(None, (1800.0, 5400.0)).value == pytest.approx(200.0)
    unknown = cost.price(40.0, ())
    assert unknown.value is None
    assert "no run has been measured" in unknown.why


@pytest.mark.parametrize("bad", [{"error": 0.0}, {"retrain": 1.0}, {"windows": 0.0}, {"compute_hour": -1.0}])
def test_what_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvariantError, match="cost"):
        Cost(**bad)
