"""The project's own metrics: aggregates in SQL over labelled rows."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.severity import Severity
from anew.monitor import ScoredRows
from anew.monitor.slo import SLO

N = 20_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


def rows(label: np.ndarray, **more: object) -> ScoredRows:
    texts = label.astype(str)
    table = pl.DataFrame({"_label": texts, "_output": np.full(len(texts), "1")} | more)
    return ScoredRows(
        task=Task.BINARY, label=texts, output=texts, loss=np.zeros(len(texts)), rows=len(texts), table=table
    )


def clicks(rate: float, n: int = N) -> np.ndarray:
    return np.random.default_rng(3).permutation(np.arange(n) < round(rate * n)).astype(int)


CTR = SLO(metric="business.ctr", at_least=0.045, definition="avg(label)")


def test_a_click_through_rate_is_measured_with_its_interval() -> None:
    (evidence,) = CTR.measure_scored(rows(clicks(0.052)))
    assert evidence.problem == ""
    assert evidence.value == pytest.approx(0.052)
    assert evidence.low is not None
    assert evidence.high is not None
    assert evidence.high - evidence.low == pytest.approx(4 * np.sqrt(0.052 * 0.948 / N), rel=0.5)
    assert CTR.judge((evidence,)) is None


def test_a_rate_below_the_objective_is_a_breach() -> None:
    finding = CTR.judge(CTR.measure_scored(rows(clicks(0.041))))
    assert finding is not None
    assert finding.severity is Severity.HIGH
    assert "business.ctr" in finding.message


def test_it_may_read_features_and_the_answer() -> None:
    chance = np.random.default_rng(5)
    price = chance.gamma(2.0, size=500)
    taken = (chance.random(500) < 0.5).astype(int)
    metric = SLO(metric="business.revenue", at_least=0.0, definition="sum(price * label) / count(*)")
    (evidence,) = metric.measure_scored(rows(taken, price=price))
    assert evidence.value == pytest.approx(float((price * taken).sum() / 500))


def test_too_few_rows_are_not_judged() -> None:
    (evidence,) = CTR.measure_scored(rows(clicks(0.0, n=10)))
    assert evidence.value is None
    assert CTR.judge((evidence,)) is None


@pytest.mark.parametrize(
    ("definition", "said"),
    [("avg(label", "no aggregate in SQL"), ("SELECT avg(label)", "no aggregate in SQL"), ("", "known are")],
)
def test_what_is_no_sql_is_refused(definition: str, said: str) -> None:
    with pytest.raises(InvariantError, match=said):
        SLO(metric="business.ctr", at_least=0.1, definition=definition)


@pytest.mark.parametrize(
    ("definition", "said"),
    [("avg(price)", "price"), ("label", "cannot be measured"), ("avg(label) / 0", "inf")],
)
def test_what_cannot_be_measured_is_said_and_not_judged(definition: str, said: str) -> None:
    metric = SLO(metric="business.ctr", at_least=0.1, definition=definition)
    (evidence,) = metric.measure_scored(rows(clicks(0.05)))
    assert evidence.value is None
    assert said in evidence.problem
    assert metric.judge((evidence,)) is None


def test_the_interval_of_a_total_is_that_of_a_total() -> None:
    """A jackknife: dropping a group takes its share of the total away."""
    chance = np.random.default_rng(5)
    price = chance.gamma(2.0, size=4000)
    metric = SLO(metric="business.revenue", at_least=0.0, definition="sum(price)")
    (evidence,) = metric.measure_scored(rows(np.ones(4000, dtype=int), price=price))
    assert evidence.value == pytest.approx(float(price.sum()))
    assert evidence.low is not None
    assert evidence.high is not None
    assert evidence.high - evidence.low == pytest.approx(4 * np.sqrt(4000 * 2.0), rel=0.4)


def answered(clicked: list[float | None], **more: object) -> ScoredRows:
    """Answers of which half have a label; all have an outcome."""
    n = len(clicked)
    answers = pl.DataFrame(
        {"_label": ["1", None] * (n // 2), "_output": ["1"] * n, "_at": [AT] * n, "clicked": clicked} | more
    )
    table = answers.filter(pl.col("_label").is_not_null())
    label = table.get_column("_label").to_numpy()
    return ScoredRows(
        task=Task.BINARY, label=label, output=label, loss=np.zeros(len(label)), rows=n, table=table, answers=answers
    )


def test_an_aggregate_over_feedback_reads_all_answers_labelled_or_not() -> None:
    metric = SLO(metric="business.ctr", at_least=0.2, definition="avg(clicked)", events=("clicked",))
    (evidence,) = metric.measure_scored(answered([0.0, 1.0, 0.0, 0.0] * 50))
    assert (evidence.value, evidence.n) == (0.25, 200)
    assert metric.needs_feedback
    (few,) = metric.measure_scored(answered([0.0, 1.0]))
    assert (few.value, few.problem) == (None, "2 answered rows, 50 are needed")


def test_a_function_of_the_project_s_own_gets_all_answers_by_their_plain_names() -> None:
    def margin(rows: pl.DataFrame) -> float:
        assert {"price", "prediction", "label", "at", "clicked"} <= set(rows.columns)
        assert not [name for name in rows.columns if name.startswith("_")]
        return float((rows["price"] * rows["clicked"]).mean())  # type: ignore[arg-type]  # a number

    metric = SLO(metric="business.margin", at_least=3.0, definition="pipeline:margin", function=margin)
    (evidence,) = metric.measure_scored(answered([0.0, 1.0] * 50, price=[4.0] * 100))
    assert (evidence.value, evidence.problem) == (2.0, "")
    assert metric.judge((evidence,)) is not None


@pytest.mark.parametrize("given", [None, "much", float("nan")])
def test_a_function_that_fails_or_returns_no_number_is_said_and_not_judged(given: object) -> None:
    metric = SLO(metric="business.m", at_least=3.0, definition="pipeline:m", function=lambda _: given)
    (evidence,) = metric.measure_scored(answered([0.0, 1.0] * 50))
    assert evidence.value is None
    assert evidence.problem.startswith("business.m ")
    assert metric.judge((evidence,)) is None


def test_slices_of_a_business_metric_are_slices_of_all_answers() -> None:
    metric = SLO(
        metric="business.ctr",
        at_least=0.3,
        definition="avg(clicked)",
        events=("clicked",),
        by=("land",),
        at_least_rows=20,
    )
    land = ["no", "no", "se", "se"] * 50
    found = metric.measure_scored(answered([1.0, 0.0, 0.0, 0.0] * 50, land=land))
    assert {each.subject: (each.value, each.n) for each in found} == {
        "business.ctr": (0.25, 200),
        "business.ctr where land = no": (0.5, 100),
        "business.ctr where land = se": (0.0, 100),
    }
