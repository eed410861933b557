"""Rows of models whose truth is known: a labelled reference, then chunks whose rows move away from it.

Only chances are drawn from numpy's seeded generators, so that every process makes the same rows.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["WORLDS", "Rows", "chunks_of"]

Rows = dict[str, npt.NDArray[np.float64]]
"""Columns ``x0``, ``x1``, ``label``, ``said``, and ``p0 … pk`` of a classifier."""


def binary(draw: np.random.Generator, n: int, moved: float) -> Rows:
    """Two classes; the model is overconfident; labels depend on rows as they always did."""
    x = draw.normal(moved, 1.0, n)
    label = draw.random(n) < _logistic(1.5 * x - 0.5)
    return _classified(draw, x, label, _logistic(3.0 * x - 0.8))


def turned(draw: np.random.Generator, n: int, moved: float) -> Rows:
    """Two classes of which the same rows get other labels, the further the more: concept drift, and nothing else."""
    x = draw.normal(0.0, 1.0, n)
    label = draw.random(n) < _logistic(1.5 * (1.0 - 1.2 * moved) * x - 0.5)
    return _classified(draw, x, label, _logistic(3.0 * x - 0.8))


def _classified(
    draw: np.random.Generator, x: npt.NDArray[np.float64], label: npt.NDArray[np.bool_], p: npt.NDArray[np.float64]
) -> Rows:
    return {
        "x0": x,
        "x1": draw.normal(0.0, 1.0, len(x)),
        "label": label.astype(np.float64),
        "said": (p > 0.5).astype(np.float64),
        "p0": 1.0 - p,
        "p1": p,
    }


def multiclass(draw: np.random.Generator, n: int, moved: float) -> Rows:
    """Three classes on a line."""
    x = draw.normal(moved, 1.0, n)
    true, told = (_softmax(sharp * np.stack([-x - 0.3, 0.4 - 0.2 * x, x - 0.3], axis=1)) for sharp in (1.2, 2.2))
    label = (draw.random((n, 1)) > np.cumsum(true, axis=1)[:, :2]).sum(axis=1)
    said = told.argmax(axis=1).astype(np.float64)
    chances = {f"p{k}": told[:, k] for k in range(3)}
    return {"x0": x, "x1": draw.normal(0.0, 1.0, n), "label": label.astype(np.float64), "said": said, **chances}


def regression(draw: np.random.Generator, n: int, moved: float) -> Rows:
    """A line whose noise grows to both sides."""
    x, other = draw.normal(moved, 1.0, n), draw.normal(0.0, 1.0, n)
    noise = draw.normal(0.0, 1.0, n) * (0.3 + 0.5 * np.abs(x) + 0.5 * (other > 0.8))
    return {"x0": x, "x1": other, "label": 2.0 * x + noise, "said": 2.0 * x}


WORLDS: dict[str, tuple[Callable[[np.random.Generator, int, float], Rows], tuple[str, ...]]] = {
    "binary": (binary, ("accuracy", "f1", "precision", "recall", "roc_auc")),
    "turned": (turned, ("accuracy", "f1", "precision", "recall", "roc_auc")),
    "multiclass": (multiclass, ("accuracy", "f1", "precision", "recall")),
    "regression": (regression, ("mae", "rmse")),
}
"""Each world's rows, and what is estimated of them."""


def chunks_of(world: str, seed: int, reference: int, chunk: int, furthest: float, chunks: int) -> tuple[Rows, Rows]:
    """Return labelled reference rows, and so many chunks that move from 0 to the furthest in even steps."""
    make, _ = WORLDS[world]
    draw = np.random.default_rng((seed, sorted(WORLDS).index(world)))
    first = make(draw, reference, 0.0)
    parts = [make(draw, chunk, float(moved)) for moved in np.linspace(0.0, furthest, chunks)]
    return first, {name: np.concatenate([part[name] for part in parts]) for name in first}


def _logistic(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-z)), dtype=np.float64)


def _softmax(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)
