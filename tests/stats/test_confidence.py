"""Performance estimated from confidence: near what labels say, as NannyML has it, and honest about its own width."""

import json
from pathlib import Path

import numpy as np
import pytest

from anew.domain.errors import InvariantError
from anew.stats.confidence import fit_confidence
from bench.estimated_worlds import Rows, chunks_of

RECORDED = json.loads((Path(__file__).parent / "nannyml_estimates.json").read_text("utf-8"))
"""NannyML's values; `bench/estimated.py --record` writes them anew."""


def scores(rows: Rows) -> np.ndarray:
    return np.column_stack([rows[name] for name in sorted(rows) if name.startswith("p")])


def codes(rows: Rows, name: str) -> np.ndarray:
    return rows[name].astype(np.intp)


def recorded_world(world: str) -> tuple[Rows, list[Rows]]:
    asked = RECORDED["asked"]
    reference, chunks = chunks_of(
        world, asked["seed"], asked["reference"], asked["chunk"], asked["furthest"], asked["chunks"]
    )
    at = [slice(k * asked["chunk"], (k + 1) * asked["chunk"]) for k in range(asked["chunks"])]
    return reference, [{name: values[each] for name, values in chunks.items()} for each in at]


@pytest.mark.parametrize("world", ["binary", "turned", "multiclass"])
def test_estimates_are_those_of_nannyml(world: str) -> None:
    assert RECORDED["nannyml"] == "0.13.1"
    reference, chunks = recorded_world(world)
    estimator = fit_confidence(scores(reference), codes(reference, "label"))
    for metric, values in RECORDED["values"][world].items():
        for chunk, value in zip(chunks, values, strict=True):
            found = estimator.estimate(metric, scores(chunk), codes(chunk, "said"), averaged=world == "multiclass")
            # Theirs takes the isotonic map as it is; ours takes out, on average, what makes it too sharp.
            assert found.value == pytest.approx(value, abs=0.01)


def error_held(world: str, seeds: int, n: int) -> tuple[float, float]:
    """Return the share of chunks whose interval held the error, and its mean half width in standard deviations."""
    held, wide = [], []
    for seed in range(seeds):
        reference, chunk = chunks_of(world, seed, 400, n, 0.0, 1)
        estimator = fit_confidence(scores(reference), codes(reference, "label"))
        found = estimator.estimate("error", scores(chunk), codes(chunk, "said"))
        error = float((chunk["label"] != chunk["said"]).mean())
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= error <= found.high)
        wide.append((found.high - found.low) / 2 / np.sqrt(error * (1 - error) * (1 / 400 + 1 / n)))
    return float(np.mean(held)), float(np.mean(wide))


def test_intervals_hold_what_labels_say_and_are_no_wider_than_they_must() -> None:
    held, wide = error_held("binary", 40, 300)
    assert held >= 0.85  # 95 % is meant; of 40 chunks fewer than 34 would come once in a hundred
    assert 1.5 < wide < 2.2  # 1.96 deviations where scores said nothing; they say something


def test_better_known_is_narrower() -> None:
    widths = []
    for m in (100, 2000):
        reference, chunk = chunks_of("binary", 3, m, 5000, 0.0, 1)
        found = fit_confidence(scores(reference), codes(reference, "label")).estimate(
            "accuracy", scores(chunk), codes(chunk, "said")
        )
        widths.append((found.high or 0.0) - (found.low or 0.0))
    assert widths[0] > 2 * widths[1]


def test_a_sure_model_is_not_taken_for_flawless() -> None:
    sure = np.column_stack((np.tile([1.0, 0.0], 50), np.tile([0.0, 1.0], 50)))
    estimator = fit_confidence(sure, np.tile([0, 1], 50))
    found = estimator.estimate("error", sure, np.tile([0, 1], 50))
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.high is not None
    assert 0.001 < found.high < 0.1


def test_the_same_seed_gives_the_same_estimate() -> None:
    reference, chunk = chunks_of("binary", 4, 200, 200, 0.3, 1)
    twice = [
        fit_confidence(scores(reference), codes(reference, "label")).estimate("f1", scores(chunk), codes(chunk, "said"))
        for _ in range(2)
    ]
    assert twice[0] == twice[1]


def test_too_little_to_rest_on_is_refused() -> None:
    half = np.full((60, 2), 0.5)
    with pytest.raises(InvariantError, match="50 held-out rows"):
        fit_confidence(half[:49], np.tile([0, 1], 25)[:49])
    with pytest.raises(InvariantError, match="two classes"):
        fit_confidence(half, np.zeros(60, dtype=np.intp))
    fitted = fit_confidence(half, np.tile([0, 1], 30))
    with pytest.raises(InvariantError, match="needs rows"):
        fitted.estimate("error", half[:0], np.zeros(0, dtype=np.intp))
    with pytest.raises(InvariantError, match="not estimated"):
        fitted.estimate("mae", half, np.tile([0, 1], 30))
