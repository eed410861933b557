"""The project's own metrics: aggregates in SQL over labelled rows."""

import numpy as np
import polars as pl
import pytest

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.severity import Severity
from anew.monitor import ScoredRows
from anew.monitor.slo import SLO

N = 20_000


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
