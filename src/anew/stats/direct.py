"""Losses estimated directly, while there are no labels: a model of the loss, learnt from labelled rows (DLE)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import ndtri

from anew.domain.errors import InvariantError
from anew.stats.column import Floats
from anew.stats.matrix import number_matrix
from anew.stats.metric import Score

__all__ = ["DirectEstimator", "fit_direct"]

_LEAST = 50
_TREES = 50
_LEAF_ROWS = 5
_PRIOR_ROWS = 10.0
"""Rows of average loss that each category is given beforehand."""

Leaves = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Column:
    """How a column becomes a number: itself, or the mean loss of its category."""

    name: str
    other: float
    categories: Mapping[str, float] | None

    def code(self, rows: pl.DataFrame) -> Floats:
        values = rows.get_column(self.name)
        if self.categories is not None:
            coded = values.cast(pl.String).replace_strict(self.categories, default=self.other, return_dtype=pl.Float64)
            return np.asarray(coded.fill_null(self.other).to_numpy(), dtype=np.float64)
        found = np.asarray(values.cast(pl.Float64).fill_null(math.nan).to_numpy(), dtype=np.float64)
        return np.where(np.isfinite(found), found, self.other)


@dataclass(frozen=True, slots=True)
class DirectEstimator:
    """Estimates the mean loss of unlabelled rows from that of `rows` labelled ones; see `fit_direct`."""

    rows: int
    _columns: tuple[_Column, ...]
    _trees: tuple[Any, ...]
    _leaves: tuple[Leaves, ...]

    def mean(self, rows: pl.DataFrame, loss: Floats, *, confidence: float = 0.95) -> Score:
        """Return the mean of a loss over unlabelled rows.

        Parameters
        ----------
        rows
            The columns that were fitted on.
        loss
            Shape (m,): this loss of the rows that were fitted on; it may be another one than they were fitted by, e.g.
            its square.

        Returns
        -------
        Score
            Its interval is meant to hold the mean loss that these very rows turn out to have.

        Raises
        ------
        InvariantError
            There are no rows, or `loss` is not of the rows that were fitted on.
        """
        if not rows.height or loss.shape != (self.rows,):
            raise InvariantError(f"an estimate needs rows, and {self.rows} losses: {rows.height}, {loss.shape}")
        asked = _matrix(self._columns, _flat(rows))
        weight, value, square = np.zeros(self.rows), np.zeros(rows.height), np.zeros(rows.height)
        for tree, leaves in zip(self._trees, self._leaves, strict=True):
            at = tree.apply(asked)
            size = np.maximum(np.bincount(leaves, minlength=tree.node_count), 1)
            weight += (np.bincount(at, minlength=len(size)) / size)[leaves]
            value += (np.bincount(leaves, loss, len(size)) / size)[at]
            square += (np.bincount(leaves, np.square(loss), len(size)) / size)[at]
        trees, n = len(self._trees), rows.height
        value, square, weight = value / trees, square / trees, weight / (trees * n)
        of_labels = float(np.maximum(square - np.square(value), 0.0).mean()) / n
        of_reference = float(np.square(weight) @ np.square(loss - _left_out(self._leaves, loss)))
        half = float(ndtri(0.5 + confidence / 2)) * math.sqrt(of_labels + of_reference)
        mean = float(value.mean())
        return Score(mean, mean - half, mean + half, n)


def fit_direct(rows: pl.DataFrame, loss: Floats, *, seed: int = 0) -> DirectEstimator:
    """Learn where the model errs, from labelled rows that it was not trained on.

    Parameters
    ----------
    rows
        Features and answers, numbers, categories or vectors; what is missing counts as the median, or as a category of
        average loss.
    loss
        Shape (m,), m at least 50, one for each row; finite.

    Raises
    ------
    InvariantError
        There are too few rows, or a loss is not finite.

    Notes
    -----
    The learner is a forest of extremely randomised trees with leaves of five rows or more. Such a forest's
    estimate is a weighted mean of the losses it was fitted on, so that the same weights estimate any other loss and
    give the error that comes with the reference: rows like few of the reference's lean on few losses. NannyML's DLE,
    which it follows, takes LightGBM instead and three standard errors of the loss on the reference. Blind to concept
    drift; rows far out are taken for the outermost known ones: of a loss that grows outwards it says too little.
    Deterministic for a seed.

    References
    ----------
    Geurts, Ernst and Wehenkel (2006), "Extremely randomized trees", Machine Learning 63. Meinshausen (2006), "Quantile
    regression forests", JMLR 7, section 2, on forests as weights.
    """
    from sklearn.ensemble import ExtraTreesRegressor  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, and few ask

    if rows.height < _LEAST or loss.shape != (rows.height,) or not np.isfinite(loss).all():
        raise InvariantError(
            f"{_LEAST} held-out rows, each with a finite loss, are the least that an estimate rests on: "
            f"{rows.height} rows, {int(np.isfinite(loss).sum())} losses"
        )
    rows = _flat(rows)
    columns = tuple(_column(rows.get_column(name), loss) for name in rows.columns)
    matrix = _matrix(columns, rows)
    forest = ExtraTreesRegressor(n_estimators=_TREES, min_samples_leaf=_LEAF_ROWS, random_state=seed, n_jobs=1).fit(
        matrix, loss
    )
    trees = tuple(each.tree_ for each in forest.estimators_)
    leaves = tuple(np.asarray(each.apply(matrix), dtype=np.intp) for each in trees)
    return DirectEstimator(rows.height, columns, trees, leaves)


def _left_out(leaves: tuple[Leaves, ...], loss: Floats) -> Floats:
    """Return what the trees expect of each row they were fitted on, from the others in its leaves."""
    total = np.zeros(len(loss))
    for each in leaves:
        size, sums = np.bincount(each), np.bincount(each, loss)
        total += (sums[each] - loss) / np.maximum(size[each] - 1, 1)
    return total / len(leaves)


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with each vector as columns of numbers."""
    wide = [name for name, kind in rows.schema.items() if kind.is_nested()]
    blocks = {name: number_matrix(rows, [name]) for name in wide}
    return rows.drop(wide).with_columns(
        pl.Series(f"{name}.{i}", block[:, i]) for name, block in blocks.items() for i in range(block.shape[1])
    )


def _column(values: pl.Series, loss: Floats) -> _Column:
    average = float(loss.mean())
    if values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null):
        numbers = np.asarray(values.cast(pl.Float64).fill_null(math.nan).to_numpy(), dtype=np.float64)
        finite = numbers[np.isfinite(numbers)]
        return _Column(values.name, float(np.median(finite)) if len(finite) else 0.0, None)
    text = values.cast(pl.String)
    known = text.is_not_null().to_numpy()
    levels, at = np.unique(np.asarray(text.drop_nulls().to_list(), dtype=np.str_), return_inverse=True)
    totals = np.bincount(at, loss[known], len(levels)) + _PRIOR_ROWS * average
    codes = totals / (np.bincount(at, minlength=len(levels)) + _PRIOR_ROWS)
    return _Column(values.name, average, dict(zip(levels.tolist(), codes.tolist(), strict=True)))


def _matrix(columns: tuple[_Column, ...], rows: pl.DataFrame) -> npt.NDArray[np.float32]:
    missing = [each.name for each in columns if each.name not in rows.columns]
    if missing:
        raise InvariantError(f"the rows lack the columns {missing}")
    limit = float(np.finfo(np.float32).max)
    return np.column_stack([np.clip(each.code(rows), -limit, limit) for each in columns]).astype(np.float32)
