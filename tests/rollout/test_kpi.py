"""A business's own measure of an answer as a bounded loss."""

import numpy as np
import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.rollout import KPI

ROWS = pl.DataFrame({"price": [10.0, 20.0, 30.0, 40.0]})
SAID = pl.Series("said", ["1", "0", "1", None])
LABEL = pl.Series("label", ["1", "1", "0", "1"])


def margin(**changes: object) -> KPI:
    given: dict[str, object] = {
        "name": "margin",
        "value": "CASE WHEN prediction = label THEN price ELSE -price END",
        "low": -40.0,
        "high": 40.0,
    }
    return KPI(**(given | changes))  # type: ignore[arg-type]  # names and types are those of the call


def test_what_is_worth_more_loses_less() -> None:
    found = margin().losses(ROWS, SAID, LABEL)
    np.testing.assert_allclose(found[:3], [0.375, 0.75, 0.875])
    assert np.isnan(found[3]), "no answer has no value"
    np.testing.assert_allclose(margin(better="lower").losses(ROWS, SAID, LABEL)[:3], [0.625, 0.25, 0.125])


def test_beyond_the_bounds_counts_as_at_them() -> None:
    np.testing.assert_allclose(margin(low=-15.0, high=15.0).losses(ROWS, SAID, LABEL)[:3], [1 / 6, 1.0, 1.0])


def test_a_missing_label_and_a_value_that_is_null_count_for_nothing() -> None:
    found = margin().losses(ROWS, pl.Series("said", ["1"] * 4), pl.Series("label", ["1", None, "1", "1"]))
    assert np.isnan(found).tolist() == [False, True, False, False]
    found = margin(value="CASE WHEN price > 15 THEN price END").losses(ROWS, SAID.fill_null("1"), LABEL)
    assert np.isnan(found).tolist() == [True, False, False, False]


@pytest.mark.parametrize("value", ["AVG(price)", "cost", "'text'"])
def test_what_is_no_number_for_each_row_is_refused(value: str) -> None:
    with pytest.raises(InvariantError, match="margin"):
        margin(value=value).losses(ROWS, SAID, LABEL)


@pytest.mark.parametrize("changes", [{"value": "1 +"}, {"low": 1.0, "high": 1.0}, {"low": float("nan")}])
def test_what_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvariantError, match="kpi margin"):
        margin(**changes)


def test_it_names_what_it_reads() -> None:
    assert set(margin().columns) == {"prediction", "label", "price"}
