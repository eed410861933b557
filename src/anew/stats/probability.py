"""Metrics of class probabilities: ROC AUC, log loss, Brier score, calibration error; each with its interval."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

from anew.domain.errors import InvariantError
from anew.stats.column import Floats
from anew.stats.metric import Score, mean_score

__all__ = ["PROBABILISTIC", "brier", "calibration_error", "log_loss", "roc_auc"]

_SURE = 1e-15
_BINS = 10
_RESAMPLES = 200


def _rows(label: npt.ArrayLike, chance: npt.ArrayLike, classes: Sequence[str]) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return each label's class by number and the probabilities, of the rows that have some."""
    said = np.asarray(chance, dtype=np.float64)
    truth = np.asarray(label)
    if said.ndim != 2 or said.shape != (len(truth), len(classes)):
        raise InvariantError(
            f"{len(truth)} labels of {len(classes)} classes need probabilities of that shape, not {said.shape}"
        )
    known = np.isfinite(said).all(axis=1)
    if not known.any():
        raise InvariantError("no row has class probabilities: the model gives none, so nothing is measured")
    numbers = {name: i for i, name in enumerate(classes)}
    found = np.array([numbers.get(str(each), -1) for each in truth[known].tolist()], dtype=np.intp)
    if (found < 0).any():
        strange = sorted({str(each) for each in truth[known][found < 0].tolist()})[:3]
        raise InvariantError(f"labels {strange} are none of the classes {list(classes)}")
    return found, said[known]


def log_loss(label: npt.ArrayLike, chance: npt.ArrayLike, *, classes: Sequence[str], confidence: float = 0.95) -> Score:
    """Return the mean of minus the natural logarithm of what was said of the true class, with its t interval.

    Parameters
    ----------
    label, chance
        Shapes (n,) and (n, k); rows whose probabilities are missing are left out.
    classes
        The k classes as text, in the order of the columns.

    Notes
    -----
    Probabilities are cut at 1e-15 and not renormalised, as in scikit-learn 1.7.

    Raises
    ------
    InvariantError
        No row has probabilities, or a label is none of the classes.
    """
    found, said = _rows(label, chance, classes)
    return mean_score(-np.log(np.clip(said[np.arange(len(found)), found], _SURE, 1.0)), confidence)


def brier(label: npt.ArrayLike, chance: npt.ArrayLike, *, classes: Sequence[str], confidence: float = 0.95) -> Score:
    """Return the Brier score with its t interval; otherwise as `log_loss`.

    With two classes the mean of (p - y)^2 of the last one, in [0, 1]; with more the mean over rows of the sum of the
    squares over classes, in [0, 2]. Both as scikit-learn's `brier_score_loss` has it.
    """
    found, said = _rows(label, chance, classes)
    truth = np.eye(said.shape[1])[found]
    squares = np.square(said - truth)
    return mean_score(squares[:, -1] if said.shape[1] == 2 else squares.sum(axis=1), confidence)


def calibration_error(
    label: npt.ArrayLike, chance: npt.ArrayLike, *, classes: Sequence[str], confidence: float = 0.95
) -> Score:
    """Return the expected calibration error in ten bins of equal mass, with a bootstrap interval (seeded).

    The mean over bins, weighted by rows, of the distance between what was said and what came: of the last class with
    two of them, of the answered class with more. It is biased up by noise, about ``0.8 * sqrt(p (1 - p) / (n / 10))``:
    with 1,000 rows and shares near one half some 0.04 mean nothing. Otherwise as `log_loss`.
    """
    found, said = _rows(label, chance, classes)
    if said.shape[1] == 2:
        score, came = said[:, 1], (found == 1).astype(np.float64)
    else:
        score, came = said.max(axis=1), (said.argmax(axis=1) == found).astype(np.float64)
    order = np.argsort(score, kind="stable")
    excess = (score - came)[order]
    bins = np.arange(len(excess)) * _BINS // len(excess)
    value = float(np.abs(np.bincount(bins, excess, _BINS)).sum() / len(excess))
    chances = np.random.default_rng(0)
    drawn = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        rows = chances.integers(0, len(excess), len(excess))
        drawn[i] = np.abs(np.bincount(bins[rows], excess[rows], _BINS)).sum() / len(excess)
    # The bootstrap's own bias is as large as the estimate's: its spread is used, its place is not.
    half = float(drawn.std(ddof=1) * ndtri(0.5 + confidence / 2))
    return Score(value, max(value - half, 0.0), value + half, len(excess))


def roc_auc(label: npt.ArrayLike, chance: npt.ArrayLike, *, classes: Sequence[str], confidence: float = 0.95) -> Score:
    """Return the area under the ROC curve, with DeLong's interval for two classes; otherwise as `log_loss`.

    With more than two classes the plain mean of each against the rest (scikit-learn's ``ovr``, macro), without an
    interval.

    Raises
    ------
    InvariantError
        As `log_loss`; or a class has no row, or all rows.
    """
    found, said = _rows(label, chance, classes)
    counts = np.bincount(found, minlength=said.shape[1])
    if (counts == 0).any():
        lacking = [name for name, count in zip(classes, counts, strict=True) if not count]
        raise InvariantError(f"ROC AUC needs rows of every class; {lacking} have none")
    if said.shape[1] == 2:
        return _delong(said[found == 1, 1], said[found == 0, 1], confidence)
    each = [_delong(said[found == k, k], said[found != k, k], confidence).value for k in range(said.shape[1])]
    return Score(float(np.mean(each)), None, None, len(found))


def _delong(positive: Floats, negative: Floats, confidence: float) -> Score:
    m, n = len(positive), len(negative)
    whole = rankdata(np.concatenate([positive, negative]))
    above = (whole[:m] - rankdata(positive)) / n
    below = 1.0 - (whole[m:] - rankdata(negative)) / m
    value = float(above.mean())
    if min(m, n) < 2:
        return Score(value, None, None, m + n)
    spread = math.sqrt(float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n)
    half = spread * float(ndtri(0.5 + confidence / 2))
    return Score(value, max(value - half, 0.0), min(value + half, 1.0), m + n)


PROBABILISTIC: dict[str, Callable[..., Score]] = {
    "brier": brier,
    "calibration_error": calibration_error,
    "log_loss": log_loss,
    "roc_auc": roc_auc,
}
"""Metrics of class probabilities by name."""
