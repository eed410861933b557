"""Repair of history: broken rows are mended or left out, the rest stays as it is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import TrainingError
from anew.loop.correction import corrected_rows
from anew.monitor.rule import Rule

COLUMNS = Columns(time="at", target="stock", features=(Column(name="x", kind=ColumnKind.NUMBER),), task=Task.REGRESSION)
RULES = (Rule(keep="prediction >= 0", data="corrected"),)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def history(labels: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "_at": [T0 + timedelta(hours=i) for i in range(len(labels))],
            "_label": labels,
            "x": [float(i) for i in range(len(labels))],
        }
    )


def absolute(rows: pl.DataFrame) -> pl.DataFrame:
    assert rows.columns == ["x", "stock"]
    return rows.with_columns(pl.col("stock").abs())


def test_broken_rows_are_mended_in_their_place() -> None:
    done = corrected_rows(history([1.0, -2.0, 3.0, -4.0]), RULES, COLUMNS, absolute)
    assert (done.repaired, done.dropped) == (2, 0)
    assert done.rows.equals(history([1.0, 2.0, 3.0, 4.0]))


def test_what_cannot_be_mended_is_left_out() -> None:
    def only_small(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.when(pl.col("stock") > -3).then(0.0).otherwise("stock").alias("stock"))

    done = corrected_rows(history([1.0, -2.0, 3.0, -4.0]), RULES, COLUMNS, only_small)
    assert (done.repaired, done.dropped, done.rows["_label"].to_list()) == (1, 1, [1.0, 0.0, 3.0])


def test_without_code_of_the_user_broken_rows_are_left_out() -> None:
    done = corrected_rows(history([1.0, -2.0, 3.0]), RULES, COLUMNS, None)
    assert (done.repaired, done.dropped, done.rows["_label"].to_list()) == (0, 1, [1.0, 3.0])


def test_classes_that_are_declared_as_numbers_are_read_as_numbers() -> None:
    columns = replace(COLUMNS, task=Task.BINARY, classes=(0, 1))
    rows = history([0.0, 1.0, 1.0]).with_columns(_label=pl.Series(["0", "1", "1"]))
    done = corrected_rows(rows, (Rule(keep="prediction < 1", data="corrected"),), columns, None)
    assert (done.dropped, done.rows["_label"].to_list()) == (2, ["0"])


def test_whole_history_with_code_stays_as_it_is() -> None:
    rows = history([1.0, 2.0])
    assert corrected_rows(rows, RULES, COLUMNS, absolute).rows.equals(rows)


def test_nothing_to_correct_and_nothing_to_correct_with_is_held() -> None:
    with pytest.raises(TrainingError, match=r"has no correct\(rows\)") as found:
        corrected_rows(history([1.0, 2.0]), RULES, COLUMNS, None)
    assert found.value.reason == "nothing_to_correct"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rows: rows.head(0),
        lambda rows: rows.drop("stock"),
        lambda _: None,
        lambda rows: rows.with_columns(x=pl.lit("text")),
        lambda rows: rows.select(1 / 0),
    ],
)
def test_code_that_returns_other_rows_ends_the_run(wrong: object) -> None:
    with pytest.raises(TrainingError, match=r"correct\(\)"):
        corrected_rows(history([1.0, -2.0]), RULES, COLUMNS, wrong)  # type: ignore[arg-type]  # wrong on purpose
