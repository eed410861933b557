"""Labels meet their predictions in any order, and losses and coverage follow."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.column import Task
from anew.domain.errors import SchemaError
from anew.feedback.address import rows_address
from anew.feedback.join import coverage, join, losses, one_per_id

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
PREDICTIONS: dict[str, Any] = {"_id": pl.String, "_at": INSTANT, "_received_at": INSTANT, "_output": pl.String}
LABELS: dict[str, Any] = {"_id": pl.String, "_prediction": pl.String, "_received_at": INSTANT, "_value": pl.String}


def _at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


Deliveries = list[tuple[int, int, int]]


def _reference(n: int, deliveries: Deliveries) -> list[str | None]:
    """Join by a dictionary, one label after the other in the order in which they count."""
    last: dict[int, str] = {}
    for i, (of, _, value) in sorted(enumerate(deliveries), key=lambda d: (d[1][1], f"l{d[0]:05d}")):
        del i
        last[of] = str(value)
    return [last.get(i) for i in range(n)]


@pytest.mark.fault("L9")
@given(
    n=st.integers(0, 30),
    deliveries=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5), st.integers(0, 2)), max_size=80),
    chance=st.randoms(use_true_random=False),
)
def test_labels_in_any_order_join_as_the_reference(n: int, deliveries: Deliveries, chance: random.Random) -> None:
    predictions = [(f"p{i:05d}", _at(i), _at(i), "0") for i in range(n)]
    labels = [(f"l{i:05d}", f"p{of:05d}", _at(at), str(value)) for i, (of, at, value) in enumerate(deliveries)]
    expected = _reference(n, deliveries)
    chance.shuffle(predictions)
    chance.shuffle(labels)
    joined = join(
        pl.DataFrame(predictions, schema=PREDICTIONS, orient="row"), pl.DataFrame(labels, schema=LABELS, orient="row")
    )
    assert joined["_label"].to_list() == expected
    assert joined["_id"].to_list() == [f"p{i:05d}" for i in range(n)]


def test_a_prediction_twice_is_one_row_the_first_received() -> None:
    rows = [("b", _at(1), _at(9), "late"), ("b", _at(1), _at(2), "first"), ("a", _at(1), _at(3), "x")]
    frame = one_per_id(pl.DataFrame(rows, schema=PREDICTIONS, orient="row"))
    assert frame.select("_id", "_output").rows() == [("a", "x"), ("b", "first")]


def test_losses_of_classes_are_errors_and_unlabelled_rows_have_none() -> None:
    joined = pl.DataFrame({"_output": ["a", "b", None, "a"], "_label": ["a", "a", "a", None]})
    np.testing.assert_array_equal(losses(joined, Task.MULTICLASS), [0.0, 1.0, 1.0, np.nan])


def test_losses_of_numbers_are_bounded_and_a_broken_answer_is_wrong() -> None:
    joined = pl.DataFrame(
        {"_output": [1.0, 3.0, 9.0, float("nan"), None, 1.0], "_label": [1.5, 2.0, 1.0, 1.0, 1.0, None]}
    )
    np.testing.assert_array_equal(losses(joined, Task.REGRESSION, scale=2.0), [0.25, 0.5, 1.0, 1.0, 1.0, np.nan])
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SchemaError, match="positive finite"):
            losses(joined, Task.REGRESSION, scale=scale)


def test_coverage_counts_labels_and_their_delay() -> None:
    received = [_at(0), _at(0), _at(10), _at(0)]
    arrived = [_at(1), _at(3), _at(5), None]
    joined = pl.DataFrame(
        {"_received_at": received, "_labelled_at": arrived, "_label": ["1", "1", "1", None]},
        schema_overrides={"_received_at": INSTANT, "_labelled_at": INSTANT},
    )
    found = coverage(joined)
    assert (found.n, found.labelled, found.share) == (4, 3, 0.75)
    assert found.delay_p50_s == 60.0  # of 60 s, 180 s and one that came before its prediction: 0 s
    assert found.delay_p90_s == pytest.approx(156.0)


def test_coverage_of_nothing_measures_nothing() -> None:
    empty = pl.DataFrame(schema={"_received_at": INSTANT, "_labelled_at": INSTANT, "_label": pl.String})
    found = coverage(empty)
    assert (found.n, found.share, found.delay_p50_s, found.delay_p90_s) == (0, None, None, None)


def test_the_address_of_rows_sees_every_difference() -> None:
    base = {"t": ["a", "", None, "b"], "x": [0.0, 1.0, None, float("nan")], "p": [[0.1], [], None, [0.2, 0.3]]}
    frame = pl.DataFrame(base)
    changed = [
        frame.with_columns(t=pl.Series(["a", None, "", "b"])),
        frame.with_columns(t=pl.Series(["", "a", None, "b"])),
        frame.with_columns(x=pl.Series([-0.0, 1.0, None, float("nan")])),
        frame.with_columns(x=pl.Series([0.0, 1.0, float("nan"), None])),
        frame.with_columns(p=pl.Series([[0.1], None, [], [0.2, 0.3]])),
        frame.with_columns(p=pl.Series([[0.1, 0.2], [], None, [0.3]])),
        frame.rename({"x": "y"}),
        frame.reverse(),
        frame.head(3),
    ]
    addresses = {rows_address(f) for f in [frame, *changed]}
    assert len(addresses) == len(changed) + 1
    parts = pl.concat([frame.head(1), frame.slice(1)], rechunk=False).select("x", "p", "t")
    assert rows_address(parts) == rows_address(frame)
