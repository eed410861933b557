"""Losses estimated directly: near what labels say and near NannyML, and honest about how little they rest on."""

import math

import numpy as np
import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.stats.direct import fit_direct
from bench.estimated_worlds import Rows, chunks_of
from tests.stats.test_confidence import RECORDED, recorded_world


def inputs(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows).select("x0", "x1", "said")


def losses(rows: Rows) -> np.ndarray:
    return np.asarray(np.abs(rows["label"] - rows["said"]))


def test_estimates_are_near_those_of_nannyml() -> None:
    reference, chunks = recorded_world("regression")
    loss = losses(reference)
    estimator = fit_direct(inputs(reference), loss)
    values = RECORDED["values"]["regression"]
    for chunk, mae, rmse in zip(chunks, values["mae"], values["rmse"], strict=True):
        # Another learner on the same rows: 3 % apart, where the loss itself goes up by 15 %.
        assert estimator.mean(inputs(chunk), loss).value == pytest.approx(mae, rel=0.03)
        assert math.sqrt(estimator.mean(inputs(chunk), loss**2).value) == pytest.approx(rmse, rel=0.04)


def test_rows_where_the_model_errs_more_are_seen() -> None:
    reference, chunks = recorded_world("regression")
    loss = losses(reference)
    estimator = fit_direct(inputs(reference), loss)
    first, last = estimator.mean(inputs(chunks[0]), loss), estimator.mean(inputs(chunks[-1]), loss)
    truth = losses(chunks[-1]).mean() - losses(chunks[0]).mean()
    assert last.value - first.value == pytest.approx(truth, rel=0.4)
    assert last.low is not None
    assert last.low > first.value


def test_intervals_hold_what_labels_say() -> None:
    held = []
    for seed in range(25):
        reference, chunk = chunks_of("regression", seed, 400, 400, 0.0, 1)
        loss = losses(reference)
        found = fit_direct(inputs(reference), loss).mean(inputs(chunk), loss)
        assert found.low is not None
        assert found.high is not None
        assert 2.5 < (found.high - found.low) / loss.std() * math.sqrt(200) < 5.5  # 3.92 for two plain means
        held.append(found.low <= losses(chunk).mean() <= found.high)
    assert np.mean(held) >= 0.8  # 95 % is meant; of 25 fewer than 20 would come once in a thousand


def test_rows_like_few_of_the_reference_are_known_less_well() -> None:
    reference, chunk = chunks_of("regression", 2, 1000, 1000, 0.0, 1)
    loss = losses(reference)
    estimator = fit_direct(inputs(reference), loss)
    odd = inputs(chunk).with_columns(x0=pl.lit(2.6), said=pl.lit(5.2))
    usual, strange = (estimator.mean(each, loss) for each in (inputs(chunk), odd))
    widths = [(each.high or 0.0) - (each.low or 0.0) for each in (usual, strange)]
    assert widths[1] > 2 * widths[0]


def test_categories_and_missing_values_are_read() -> None:
    draw = np.random.default_rng(5)
    level = draw.choice(["a", "b", "c"], 600)
    loss = np.where(level == "c", 3.0, 1.0) + draw.normal(0, 0.1, 600)
    number = [None if i % 7 == 0 else math.nan if i % 11 == 0 else float(i) for i in range(600)]
    estimator = fit_direct(pl.DataFrame({"level": level, "number": number}), loss)

    def estimated(text: str | None) -> float:
        return estimator.mean(pl.DataFrame({"level": [text] * 50, "number": [None] * 50}), loss).value

    assert estimated("c") == pytest.approx(3.0, abs=0.2)
    assert estimated("a") == pytest.approx(1.0, abs=0.2)
    assert 1.0 < estimated("never seen") < 3.0
    assert estimated(None) == estimated("never seen")


def test_too_little_to_rest_on_is_refused() -> None:
    frame = pl.DataFrame({"x": np.arange(60.0)})
    with pytest.raises(InvariantError, match="50 held-out rows"):
        fit_direct(frame.head(49), np.zeros(49))
    with pytest.raises(InvariantError, match="59 losses"):
        fit_direct(frame, np.where(np.arange(60) == 3, math.nan, 1.0))
    fitted = fit_direct(frame, np.ones(60))
    with pytest.raises(InvariantError, match="needs rows"):
        fitted.mean(frame.head(0), np.ones(60))
    with pytest.raises(InvariantError, match="lack the columns"):
        fitted.mean(frame.rename({"x": "z"}), np.ones(60))
