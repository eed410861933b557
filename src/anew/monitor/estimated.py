"""Performance of the served answers as it can be estimated before any label is there."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.confidence import ConfidenceEstimator, fit_confidence
from anew.stats.direct import DirectEstimator, fit_direct
from anew.stats.expectation import EXPECTED
from anew.stats.metric import Score

__all__ = ["Estimated"]

_DIRECT = ("accuracy", "error", "mae", "rmse")
_KNOWN = tuple(sorted({*EXPECTED, *_DIRECT}))
_MOST_ROWS = 20_000
"""Rows of a window, evenly spaced, that losses are estimated on: more cost time and change little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """Alert when a metric, estimated without labels, breaks an objective.

    Parameters
    ----------
    metric
        ``error``, ``accuracy``, ``f1``, ``precision``, ``recall``, ``roc_auc`` (binary); ``mae``, ``rmse``.
    at_most, at_least
        The objective; exactly one is given.
    at_least_rows
        Rows of a window below which nothing is judged.

    Notes
    -----
    For labels that come late. A classifier with probabilities is taken at its word, once they are calibrated on the
    rows that its version held out (CBPE); for regression, and error or accuracy of a classifier without probabilities,
    a model of the loss is learnt from those rows (DLE). Both see that other rows are asked for, weak spots of the model
    among them; neither sees concept drift, where the same rows get other labels: for that, labels and an SLO. An
    estimate asks for a retrain at most; no gate and no rollout ever reads one.

    It compares the estimate itself with the objective and is HIGH when the whole interval breaks it. With an objective
    as far from the metric's ordinary value as the interval is wide, about 1 window in 40 alerts without drift. Answers
    of a challenger in the window are read by the champion's calibration.
    """

    labels: ClassVar[bool] = False
    needs_sample: ClassVar[bool] = True

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    at_least_rows: int = 50

    def __post_init__(self) -> None:
        if self.metric not in _KNOWN:
            raise InvariantError(f"estimated {self.metric!r}: what can be estimated are {', '.join(_KNOWN)}")
        limit = self.at_most if self.at_most is not None else self.at_least
        if (self.at_most is None) == (self.at_least is None) or limit is None or not math.isfinite(limit):
            raise InvariantError(f"estimated {self.metric}: give exactly one of at_most and at_least, a finite number")
        if self.at_least_rows < 1:
            raise InvariantError(f"estimated {self.metric}: at_least_rows is {self.at_least_rows}; it counts rows")

    @property
    def key(self) -> str:
        """``estimated(metric<=limit)`` or ``estimated(metric>=limit)``."""
        sign, limit = ("<=", self.at_most) if self.at_most is not None else (">=", self.at_least)
        return f"estimated({self.metric}{sign}{limit:g})"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Estimate the metric, with the interval that the window's own value is expected in."""
        limit = self.at_most if self.at_most is not None else self.at_least
        if seen.n < self.at_least_rows:
            problem = f"{seen.n} rows, {self.at_least_rows} are needed"
            return (Evidence.of(self.key, None, seen.n, subject=self.metric, reference=limit, problem=problem),)
        try:
            score = self._score(seen)
        except InvariantError as exc:
            problem = f"nothing can be estimated: {exc}"
            return (Evidence.of(self.key, None, seen.n, subject=self.metric, reference=limit, problem=problem),)
        interval = None if score.low is None or score.high is None else (score.low, score.high)
        return (Evidence.of(self.key, score.value, score.n, subject=self.metric, reference=limit, interval=interval),)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: what has labels need not be estimated."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a breach when the estimate breaks the objective."""
        for each in evidence:
            if not each.measured or each.value is None:
                continue
            low = each.value if each.low is None else each.low
            high = each.value if each.high is None else each.high
            if self.at_most is not None:
                broken, surely, limit = each.value > self.at_most, low > self.at_most, f"at most {self.at_most:g}"
            else:
                bound = self.at_least or 0.0
                broken, surely, limit = each.value < bound, high < bound, f"at least {bound:g}"
            if broken:
                return Finding(
                    severity=Severity.HIGH if surely else Severity.MEDIUM,
                    message=(
                        f"{self.metric} is estimated, without labels, at {each.value:.4g} "
                        f"({low:.4g} to {high:.4g}, n = {each.n}); wanted {limit}"
                    ),
                    evidence=(each,),
                )
        return None

    def _score(self, seen: SeenRows) -> Score:
        said = [f"_p{k}" for k in range(len(seen.classes))]
        if self.metric in EXPECTED and said and all(name in seen.rows.columns for name in said):
            return self._confident(seen, said)
        if self.metric not in _DIRECT:
            raise InvariantError(f"{self.metric} is estimated from class probabilities, and the model gives none")
        return self._direct(seen)

    def _confident(self, seen: SeenRows, said: list[str]) -> Score:
        kept: dict[str, ConfidenceEstimator] = seen.yardstick.kept
        if "estimated/confidence" not in kept:
            held = _held(seen.yardstick.sample, [*said, "_label"])
            kept["estimated/confidence"] = fit_confidence(*_classified(held, said, "_label", seen.classes))
        scores, answers = _classified(seen.rows, said, "_output", seen.classes)
        return kept["estimated/confidence"].estimate(self.metric, scores, answers, averaged=len(said) > 2)

    def _direct(self, seen: SeenRows) -> Score:
        names = [*seen.yardstick.features.names, "_output"]
        kept: dict[str, tuple[DirectEstimator, npt.NDArray[np.float64]]] = seen.yardstick.kept
        if "estimated/direct" not in kept:
            held = _held(seen.yardstick.sample, ["_label", "_output"])
            loss = _loss(held, classifies=seen.task.classifies)
            kept["estimated/direct"] = (fit_direct(held.select(names), loss), loss)
        estimator, loss = kept["estimated/direct"]
        rows = seen.rows.gather_every(-(-seen.n // _MOST_ROWS)).drop_nulls("_output")
        score = estimator.mean(rows, np.square(loss) if self.metric == "rmse" else loss)
        low, high = max(score.low or 0.0, 0.0), score.high or 0.0
        if self.metric == "rmse":
            return Score(math.sqrt(score.value), math.sqrt(low), math.sqrt(high), score.n)
        if self.metric == "accuracy":
            return Score(1.0 - score.value, max(1.0 - high, 0.0), 1.0 - low, score.n)
        return Score(score.value, low, min(high, 1.0) if self.metric == "error" else high, score.n)


def _held(sample: pl.DataFrame, needed: list[str]) -> pl.DataFrame:
    missing = [name for name in (*needed, "_held") if name not in sample.columns]
    if missing:
        raise InvariantError(f"the version's sample lacks the columns {missing}")
    return sample.filter(pl.col("_held")).drop_nulls(needed)


def _classified(
    rows: pl.DataFrame, said: list[str], column: str, classes: tuple[str, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return the probabilities of rows and the number of each one's class in `column`, of those that have both."""
    numbers = {name: k for k, name in enumerate(classes)}
    coded = rows.get_column(column).cast(pl.String).replace_strict(numbers, default=-1, return_dtype=pl.Int64)
    code = np.asarray(coded.fill_null(-1).to_numpy(), dtype=np.intp)
    scores = rows.select(pl.col(said).cast(pl.Float64).fill_null(math.nan)).to_numpy()
    whole = np.isfinite(scores).all(axis=1) & (code >= 0)
    return scores[whole], code[whole]


def _loss(rows: pl.DataFrame, *, classifies: bool) -> npt.NDArray[np.float64]:
    label, output = rows.get_column("_label"), rows.get_column("_output")
    found: Any = (label != output).cast(pl.Float64) if classifies else (label - output).abs()
    return np.asarray(found.to_numpy(), dtype=np.float64)
