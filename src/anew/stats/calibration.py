"""Scores of a classifier into probabilities that hold: isotonic, one class against the rest."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.column import Floats

__all__ = ["Calibration", "Codes", "fit_calibration"]

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Maps raw scores to probabilities.

    Parameters
    ----------
    maps
        For each class the corners of its map, scores and probabilities, each of shape (c,), straight in between and
        flat outside; for two classes only that of the last.
    """

    maps: tuple[tuple[Floats, Floats], ...]

    def probabilities(self, scores: Floats) -> Floats:
        """Return calibrated probabilities of `scores`, both of shape (n, k); each row adds up to 1."""
        if len(self.maps) == 1:
            last = np.interp(scores[:, -1], *self.maps[0])
            return np.column_stack((1.0 - last, last))
        found = np.column_stack([np.interp(scores[:, k], *corners) for k, corners in enumerate(self.maps)])
        total = found.sum(axis=1, keepdims=True)
        # A row that no class claims keeps what the model said of it.
        return np.where(total > 0, found / np.where(total > 0, total, 1.0), scores)


def fit_calibration(scores: Floats, label: Codes, weight: Floats | None = None) -> Calibration:
    """Fit the maps on rows that the model was not trained on.

    Parameters
    ----------
    scores
        Shape (n, k), k at least 2: what the model said of each class.
    label
        Shape (n,): number of each row's class, from 0.
    weight
        Shape (n,), how often each row counts; None for once.

    Raises
    ------
    InvariantError
        There are no rows, or the shapes do not fit.

    References
    ----------
    Zadrozny and Elkan (2002), "Transforming classifier scores into accurate multiclass probability estimates", KDD.

    Examples
    --------
    >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.3, 0.7]])
    >>> fit_calibration(scores, np.array([0, 1, 0, 1])).probabilities(scores)[:, 1].tolist()
    [0.0, 0.5, 0.5, 1.0]
    """
    if scores.ndim != 2 or scores.shape[1] < 2 or label.shape != scores.shape[:1] or not len(label):
        raise InvariantError(f"scores have the shape (n, k) and labels (n,), not {scores.shape} and {label.shape}")
    k = scores.shape[1]
    classes = (1,) if k == 2 else range(k)
    return Calibration(tuple(_map(scores[:, each], label == each, weight) for each in classes))


def _map(score: Floats, hit: npt.NDArray[np.bool_], weight: Floats | None) -> tuple[Floats, Floats]:
    from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, and few ask

    fitted = IsotonicRegression(out_of_bounds="clip", y_min=0.0, y_max=1.0).fit(score, hit, sample_weight=weight)
    return np.asarray(fitted.X_thresholds_, dtype=np.float64), np.asarray(fitted.y_thresholds_, dtype=np.float64)
