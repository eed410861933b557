"""How far a row is from everything that was seen in training: Mahalanobis distance and isolation forest.

Both give a score that grows with strangeness, and both are calibrated on rows that they were not fitted on: the
threshold is the score that a declared share of such rows exceeds. A missing or infinite value is put at the column's
median: what is missing is for the drift detectors to find.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError

__all__ = ["Method", "OutOfDistribution", "fit_out_of_distribution"]

Floats = npt.NDArray[np.float64]
Method = Literal["mahalanobis", "isolation_forest"]
_LEAST = 40


@dataclass(frozen=True, slots=True)
class OutOfDistribution:
    """Tells rows that are stranger than all but a declared share of the reference's.

    Parameters
    ----------
    threshold
        Score above which a row is out of distribution.
    calibrated_on
        Rows that the threshold rests on.
    """

    threshold: float
    calibrated_on: int
    _centre: Floats
    _score: Callable[[Floats], Floats]

    def score(self, rows: Floats) -> Floats:
        """Return how strange each of `rows`, shape (n, d), is; shape (n,)."""
        if rows.ndim != 2 or rows.shape[1] != len(self._centre):
            raise InvariantError(f"rows have the shape (n, {len(self._centre)}), not {rows.shape}")
        return self._score(_filled(rows, self._centre)) if len(rows) else np.zeros(0)

    def strange(self, rows: Floats) -> npt.NDArray[np.bool_]:
        """Return which of `rows` are out of distribution."""
        found: npt.NDArray[np.bool_] = self.score(rows) > self.threshold
        return found


def fit_out_of_distribution(
    rows: Floats, method: Method = "mahalanobis", *, false_share: float = 0.01, seed: int = 0
) -> OutOfDistribution:
    """Fit on every other row of the reference and calibrate on the rest.

    Parameters
    ----------
    rows
        Shape (n, d), n at least 40; vectors such as embeddings, or numeric columns.
    method
        ``mahalanobis``: the distance from the mean in units of the covariance, shrunk after Ledoit and Wolf, so that it
        holds for many columns and few rows; it takes the reference for one cloud. ``isolation_forest``: how few random
        cuts it takes to isolate the row; it takes any shape, and is less sharp at what lies far out in one direction.
    false_share
        Share of rows like the reference's that are taken for strange; the threshold is conservative by one row.

    Raises
    ------
    InvariantError
        There are too few rows, or no columns, or `false_share` is not between 0 and 1.

    Notes
    -----
    With n calibration rows the true share is at most `false_share` on average over calibrations (a split conformal
    threshold), and varies by about ``sqrt(false_share / n)``. Deterministic for a seed. The scores equal those of
    scikit-learn: the root of ``LedoitWolf.mahalanobis`` on standardised rows, ``-IsolationForest.score_samples``.

    References
    ----------
    Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate
    Analysis 88. Liu, Ting and Zhou (2008), "Isolation forest", ICDM. Vovk, Gammerman and Shafer (2005), "Algorithmic
    learning in a random world", on the threshold.
    """
    if rows.ndim != 2 or len(rows) < _LEAST or not rows.shape[1]:
        raise InvariantError(f"{_LEAST} rows and a column are the least, found the shape {rows.shape}")
    if not 0 < false_share < 1:
        raise InvariantError(f"false_share is {false_share}; it lies between 0 and 1")
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(rows), rows, np.nan)
    known = np.isfinite(finite).any(axis=0)
    centre = np.zeros(rows.shape[1])
    centre[known] = np.nanmedian(finite[:, known], axis=0)
    filled = _filled(rows, centre)
    fitted, rest = filled[::2], filled[1::2]
    score = _mahalanobis(fitted) if method == "mahalanobis" else _isolation(fitted, seed)
    ordered = np.sort(score(rest))
    rank = math.ceil((len(ordered) + 1) * (1 - false_share))
    threshold = float(ordered[rank - 1]) if rank <= len(ordered) else float(ordered[-1])
    return OutOfDistribution(threshold, len(rest), centre, score)


def _mahalanobis(rows: Floats) -> Callable[[Floats], Floats]:
    from sklearn.covariance import LedoitWolf  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, and few ask

    spread = rows.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    mean = rows.mean(axis=0)
    fitted = LedoitWolf(assume_centered=True).fit((rows - mean) / scale)
    precision = np.asarray(fitted.precision_, dtype=np.float64)

    def score(asked: Floats) -> Floats:
        centred = (asked - mean) / scale
        squared = np.einsum("ij,jk,ik->i", centred, precision, centred, optimize=True)
        distance: Floats = np.sqrt(np.maximum(squared, 0.0))
        return distance

    return score


def _isolation(rows: Floats, seed: int) -> Callable[[Floats], Floats]:
    from sklearn.ensemble import IsolationForest  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, and few ask

    forest = IsolationForest(n_estimators=100, random_state=seed, n_jobs=1).fit(rows)

    def score(asked: Floats) -> Floats:
        return -np.asarray(forest.score_samples(asked), dtype=np.float64)

    return score


def _filled(rows: Floats, centre: Floats) -> Floats:
    """Return the rows with `centre` in the place of what is no finite number."""
    return np.where(np.isfinite(rows), rows, centre)
