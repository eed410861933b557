"""Sums that a metric of many rows can be made of: taken of each window once, and added up for any period.

Counts and moments add up to what all rows together give, moments but for rounding. What depends on the order of all
scores, ROC AUC and calibration, is counted by steps of 1/128 in log odds, by which a score moves odds by 0.4 % at most;
what that can hide is known from the counts, and the interval is wider by it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.stats.column import Floats
from anew.stats.metric import (
    Hits,
    Score,
    absolute_errors,
    averaged_score,
    mean_score,
    pinball_losses,
    root_score,
    share_score,
    squared_errors,
)
from anew.stats.moments import Moments
from anew.stats.probability import (
    CALIBRATION_BINS,
    area_score,
    brier_losses,
    class_numbers,
    log_losses,
    reliability,
)

__all__ = ["MOST_CLASSES", "Asked", "Sums", "adds_up", "merged", "scored", "sums_of"]

MOST_CLASSES = 50
"""Classes up to which the scores of each are counted."""

_STEPS = 128
_FURTHEST = 36.0
"""Log odds of the nearest to 1 that a float64 comes."""
_RESAMPLES = 200
_QUANTILE = re.compile(r"quantile_loss\((.*)\)")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which metric, and of what: see `anew.stats.outcome.measure_metric`."""

    metric: str
    task: Task
    positive: str = ""
    classes: tuple[str, ...] = ()


class _Part(Protocol):
    """What rows came to, to be added to its like."""

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        """Return what all rows of `parts` come to; there is at least one part."""
        ...

    def score(self, asked: Asked, confidence: float) -> Score:
        """Return the metric."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What `n` labelled rows came to; or, instead, why nothing can be measured on any period that they are in."""

    n: int
    part: _Part | None = None
    problem: str = ""


def adds_up(metric: str, classes: int) -> bool:
    """Can sums of windows give the metric of a period, with so many classes?"""
    return _take(metric) is not None and (metric != "roc_auc" or classes <= MOST_CLASSES)


def sums_of(
    asked: Asked, label: npt.NDArray[np.generic], output: npt.NDArray[np.generic], chance: Floats | None
) -> Sums:
    """Take the sums of labels and answers, shape (n,), n from 0 on, and of class probabilities, shape (n, k), or None.

    Raises
    ------
    InvariantError
        The metric does not add up.
    """
    take = _take(asked.metric)
    if take is None:
        raise InvariantError(f"{asked.metric} of a period is no sum of its windows; known are {', '.join(_TAKEN)}")
    if not len(label):
        return Sums(n=0)
    try:
        return Sums(n=len(label), part=take(_Rows(asked, label, output, chance)))
    except InvariantError as exc:
        return Sums(n=len(label), problem=str(exc))


def merged(sums: Sequence[Sums]) -> Sums:
    """Add up; the first problem of any is a problem of them all."""
    n = sum(each.n for each in sums)
    problem = next((each.problem for each in sums if each.problem), "")
    parts = [each.part for each in sums if each.part is not None]
    return Sums(n=n, part=type(parts[0]).merged(parts) if parts and not problem else None, problem=problem)


def scored(asked: Asked, sums: Sums, confidence: float = 0.95) -> Score:
    """Return the metric of the rows that were summed up; what it is and how it is wrong, see `measure_metric`.

    Raises
    ------
    InvariantError
        It cannot be measured on these rows.
    """
    if sums.problem:
        raise InvariantError(sums.problem)
    if sums.part is None:
        raise InvariantError("a metric needs rows: nothing measured is no score")
    return sums.part.score(asked, confidence)


@dataclass(frozen=True, slots=True)
class _Classes:
    """Rows, and hits, false alarms and misses of each class that was met."""

    n: int
    each: Mapping[object, Hits]

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        found: dict[object, tuple[int, int, int]] = {}
        for part in parts:
            for name, (hits, alarms, misses) in part.each.items():
                a, b, c = found.get(name, (0, 0, 0))
                found[name] = (a + hits, b + alarms, c + misses)
        return cls(sum(part.n for part in parts), {name: Hits(*each) for name, each in found.items()})

    def score(self, asked: Asked, confidence: float) -> Score:
        right = sum(each.hits for each in self.each.values())
        if asked.metric in ("accuracy", "error"):
            return share_score(right if asked.metric == "accuracy" else self.n - right, self.n, confidence)
        return averaged_score(
            asked.metric,
            self.each,
            self.n,
            average="binary" if asked.task is Task.BINARY else "macro",
            positive=asked.positive,
            confidence=confidence,
        )


@dataclass(frozen=True, slots=True)
class _Means:
    """Moments of what each row lost."""

    moments: Moments

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        return cls(Moments.merged(each.moments for each in parts))

    def score(self, asked: Asked, confidence: float) -> Score:
        if not self.moments.n:
            raise InvariantError("no row has class probabilities: the model gives none, so nothing is measured")
        found = mean_score(self.moments, confidence)
        return root_score(found) if asked.metric == "rmse" else found


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Of each class, or of the last of two: its rows and the others, by the step that its probability falls in."""

    steps: tuple[Ints, ...]
    rows: tuple[tuple[Ints, Ints], ...]

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        steps, rows = [], []
        for k in range(len(parts[0].steps)):
            found, at = np.unique(np.concatenate([each.steps[k] for each in parts]), return_inverse=True)
            mine, others = (
                _added(at, np.concatenate([each.rows[k][side] for each in parts]), len(found)) for side in (0, 1)
            )
            steps.append(found)
            rows.append((mine, others))
        return cls(tuple(steps), tuple(rows))

    def score(self, asked: Asked, confidence: float) -> Score:
        if not self.steps[0].size:
            raise InvariantError("no row has class probabilities: the model gives none, so nothing is measured")
        found = area_score(self.rows, asked.classes, confidence)
        if found.low is None or found.high is None:
            return found
        mine, others = self.rows[0]
        hidden = float((mine * others).sum()) / 2 / (float(mine.sum()) * float(others.sum()))
        return found._replace(low=max(found.low - hidden, 0.0), high=min(found.high + hidden, 1.0))


@dataclass(frozen=True, slots=True)
class _Reliability:
    """By the step of what was said: rows, how far it lay above what came, and the squares of that."""

    steps: Ints
    rows: Ints
    excess: Floats
    squares: Floats

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        found, at = np.unique(np.concatenate([each.steps for each in parts]), return_inverse=True)
        rows = _added(at, np.concatenate([each.rows for each in parts]), len(found))
        excess = _summed(at, np.concatenate([each.excess for each in parts]), len(found))
        return cls(found, rows, excess, _summed(at, np.concatenate([each.squares for each in parts]), len(found)))

    def score(self, asked: Asked, confidence: float) -> Score:  # noqa: ARG002  as of every part
        n = int(self.rows.sum())
        if not n:
            raise InvariantError("no row has class probabilities: the model gives none, so nothing is measured")
        # A step in which two bins meet gives each its share, as if its rows were all alike.
        borders = -(-np.arange(CALIBRATION_BINS + 1) * n // CALIBRATION_BINS)
        ends = np.concatenate([[0], np.cumsum(self.rows)])
        excess, squares = (
            np.diff(np.interp(borders, ends, np.concatenate([[0.0], np.cumsum(each)])))
            for each in (self.excess, self.squares)
        )
        value = float(np.abs(excess).sum()) / n
        # What a bootstrap of the rows would draw, by its normal limit: sums of bins that rows come into by chance.
        spread = np.diag(squares) - np.outer(excess, excess) / n
        chances = np.random.default_rng(0)
        drawn = chances.multivariate_normal(excess, spread, _RESAMPLES, method="svd", check_valid="ignore")
        half = float((np.abs(drawn).sum(axis=1) / n).std(ddof=1) * ndtri(0.5 + confidence / 2))
        # However the rows of a step lie in truth, no border moves a bin further than they are spread (Cauchy-Schwarz).
        parted = np.clip(np.searchsorted(ends, borders[1:-1]) - 1, 0, len(self.rows) - 1)
        apart = self.rows[parted] * self.squares[parted] - np.square(self.excess[parted])
        half += float(np.sqrt(np.maximum(apart, 0.0)).sum()) / n
        return Score(value, max(value - half, 0.0), value + half, n)


def _added(at: npt.NDArray[np.intp], counts: Ints, size: int) -> Ints:
    """Add counts up by place: exact up to 2**53 rows."""
    return _summed(at, counts.astype(np.float64), size).astype(np.int64)


def _summed(at: npt.NDArray[np.intp], numbers: Floats, size: int) -> Floats:
    """Add numbers up by place."""
    sums: Floats = np.bincount(at, numbers, size).astype(np.float64)
    return sums


def _steps(chance: Floats) -> Ints:
    """Return the step that each probability falls in."""
    inside = np.clip(chance, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        odds = np.log(inside) - np.log1p(-inside)
    steps: Ints = np.rint(np.clip(odds, -_FURTHEST, _FURTHEST) * _STEPS).astype(np.int64)
    return steps


class _Rows(NamedTuple):
    """Labels and answers, shape (n,), and class probabilities, shape (n, k), or None."""

    asked: Asked
    label: npt.NDArray[np.generic]
    output: npt.NDArray[np.generic]
    chance: Floats | None

    @property
    def known(self) -> tuple[npt.NDArray[np.intp], Floats]:
        """Classes by number and probabilities, of the rows that have some."""
        if self.chance is None:
            return np.empty(0, dtype=np.intp), np.empty((0, len(self.asked.classes)))
        return class_numbers(self.label, self.chance, self.asked.classes)


def _classes(rows: _Rows) -> _Part:
    names, at = np.unique(np.concatenate([rows.label, rows.output]), return_inverse=True)
    actual, said = at[: len(rows.label)], at[len(rows.label) :]
    hits = np.bincount(actual[actual == said], minlength=len(names))
    alarms, misses = (np.bincount(each, minlength=len(names)) - hits for each in (said, actual))
    counts = zip(names.tolist(), hits.tolist(), alarms.tolist(), misses.tolist(), strict=True)
    return _Classes(len(rows.label), {name: Hits(*each) for name, *each in counts})


def _means(losses: Callable[[_Rows], Floats]) -> Callable[[_Rows], _Part]:
    return lambda rows: _Means(Moments.of(losses(rows)))


def _pinball(rows: _Rows) -> Floats:
    quantile = _QUANTILE.fullmatch(rows.asked.metric)
    return pinball_losses(rows.label, rows.output, float(quantile[1]) if quantile else 0.5)


def _ranks(rows: _Rows) -> _Part:
    found, said = rows.known
    steps, counts = [], []
    for k in [1] if said.shape[1] == 2 else range(said.shape[1]):
        values, at = np.unique(_steps(said[:, k]), return_inverse=True)
        mine = found == k
        steps.append(values)
        counts.append((np.bincount(at[mine], minlength=len(values)), np.bincount(at[~mine], minlength=len(values))))
    return _Ranks(tuple(steps), tuple(counts))


def _reliability(rows: _Rows) -> _Part:
    said, came = reliability(*rows.known)
    values, at = np.unique(_steps(said), return_inverse=True)
    excess = said - came
    squares = _summed(at, np.square(excess), len(values))
    return _Reliability(values, np.bincount(at, minlength=len(values)), _summed(at, excess, len(values)), squares)


_TAKEN: dict[str, Callable[[_Rows], _Part]] = {
    **dict.fromkeys(("accuracy", "error", "f1", "precision", "recall"), _classes),
    "brier": _means(lambda rows: brier_losses(*rows.known)),
    "calibration_error": _reliability,
    "log_loss": _means(lambda rows: log_losses(*rows.known)),
    "mae": _means(lambda rows: absolute_errors(rows.label, rows.output)),
    "rmse": _means(lambda rows: squared_errors(rows.label, rows.output)),
    "roc_auc": _ranks,
}


def _take(metric: str) -> Callable[[_Rows], _Part] | None:
    """Return what takes the sums of a metric."""
    return _means(_pinball) if _QUANTILE.fullmatch(metric) else _TAKEN.get(metric)
