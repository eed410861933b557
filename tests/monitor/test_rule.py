"""Rules: a row breaks one or it does not; what is no condition is refused."""

from dataclasses import replace

import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.domain.severity import Severity
from anew.monitor import Yardstick
from anew.monitor.rule import Rule
from tests.monitor.windows import reference_of, scored, seen

YARDSTICK = Yardstick(features=reference_of(pl.DataFrame({"stock": [1.0, 2.0]})))


def rows(output: list[float | None], stock: list[float | None] | None = None) -> pl.DataFrame:
    return pl.DataFrame({"stock": stock or [5.0] * len(output), "_output": output}, strict=False)


@pytest.mark.parametrize(
    ("keep", "output", "broken"),
    [
        ("prediction >= 0", [1.0, 0.0, 2.0], 0),
        ("prediction >= 0", [1.0, -0.5, -2.0], 2),
        ("prediction >= 0", [None, -1.0], 1),
        ("prediction <= stock", [5.0, 5.1], 1),
        ("stock >= 0 AND (prediction >= 0 OR stock > 100)", [-1.0, 1.0], 1),
    ],
)
def test_broken_rows_are_counted(keep: str, output: list[float | None], broken: int) -> None:
    rule = Rule(keep=keep)
    (evidence,) = rule.measure_seen(seen(rows(output), YARDSTICK))
    known = sum(each is not None for each in output)
    assert (evidence.value, evidence.n) == (broken, known)
    finding = rule.judge((evidence,))
    assert (finding is not None) is (broken > 0)
    if finding:
        assert finding.severity is Severity.HIGH
        assert finding.message == f"{broken} of {known} rows break the rule {keep}"


def test_some_may_be_tolerated() -> None:
    rule = Rule(keep="prediction >= 0", at_most=1)
    assert rule.judge(rule.measure_seen(seen(rows([-1.0, 2.0]), YARDSTICK))) is None
    assert rule.judge(rule.measure_seen(seen(rows([-1.0, -2.0]), YARDSTICK))) is not None


def test_a_feature_called_prediction_is_itself() -> None:
    frame = pl.DataFrame({"prediction": [-1.0], "_output": [1.0]})
    assert Rule(keep="prediction >= 0").broken(frame).to_list() == [True]


@pytest.mark.parametrize("keep", ["prediction >=", "DROP TABLE x", "read_csv('x')", "SELECT 1", ""])
def test_what_is_no_condition_is_refused(keep: str) -> None:
    with pytest.raises(InvariantError, match="is no condition in SQL"):
        Rule(keep=keep)


@pytest.mark.parametrize(
    ("numbered", "keep", "broken"),
    [(True, "prediction >= 1", 2), (True, "prediction IN (0, 1)", 1), (False, "prediction <> '0'", 1)],
)
def test_classes_are_read_as_they_are_answered(numbered: bool, keep: str, broken: int) -> None:
    frame = pl.DataFrame({"stock": [5.0] * 4, "_output": ["0", "1", "-1", None]})
    (evidence,) = Rule(keep=keep).measure_seen(replace(seen(frame, YARDSTICK), numbered=numbered))
    assert (evidence.problem, evidence.value) == ("", broken)


@pytest.mark.parametrize("keep", ["prediction + 1", "nobody > 0", "stock = 'x'", "avg(prediction) > 0", "1 = 1"])
def test_what_cannot_be_read_measures_nothing_and_never_counts_as_kept(keep: str) -> None:
    (evidence,) = Rule(keep=keep).measure_seen(seen(rows([1.0, 2.0]), YARDSTICK))
    assert not evidence.measured
    assert "could not be read" in evidence.problem


def test_a_rule_that_is_null_on_all_rows_measures_nothing() -> None:
    rule = Rule(keep="prediction <= stock")
    (evidence,) = rule.measure_seen(seen(pl.DataFrame({"stock": [None, None], "_output": [1.0, 2.0]}), YARDSTICK))
    assert (evidence.measured, evidence.problem) == (False, "the rule is null on all 2 rows")
    assert rule.judge((evidence,)) is None


def test_it_needs_no_labels_and_does_not_wait() -> None:
    rule = Rule(keep="prediction >= 0", data="corrected")
    assert rule.measure_scored(scored([1.0], None)) == ()
    assert (rule.labels, rule.at_once, rule.columns, rule.key) == (
        False,
        True,
        ("prediction",),
        "rule(prediction >= 0)",
    )
