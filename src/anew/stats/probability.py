"""Metrics of class probabilities: ROC AUC, log loss, Brier score, calibration error; each with its interval."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from anew.domain.errors import InvariantError
from anew.stats.column import Floats
from anew.stats.metric import Score, mean_score
from anew.stats.moments import Moments

__all__ = [
    "CALIBRATION_BINS",
    "PROBABILISTIC",
    "area_score",
    "brier",
    "brier_losses",
    "calibration_error",
    "class_numbers",
    "log_loss",
    "log_losses",
    "reliability",
    "roc_auc",
]

Counts = npt.NDArray[np.int64]

_SURE = 1e-15
CALIBRATION_BINS = 10
"""Bins of equal mass that calibration is measured in."""
_RESAMPLES = 200


def _rows(label: npt.ArrayLike, chance: npt.ArrayLike, classes: Sequence[str]) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return each label's class by number and the probabilities, of the rows that have some; there are such rows."""
    found, said = class_numbers(label, chance, classes)
    if not len(found):
        raise InvariantError("no row has class probabilities: the model gives none, so nothing is measured")
    return found, said


def class_numbers(
    label: npt.ArrayLike, chance: npt.ArrayLike, classes: Sequence[str]
) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return each label's class by number and the probabilities, of the rows that have some.

    Raises
    ------
    InvariantError
        The shapes differ, or a label is none of the classes.
    """
    said = np.asarray(chance, dtype=np.float64)
    truth = np.asarray(label)
    if said.ndim != 2 or said.shape != (len(truth), len(classes)):
        raise InvariantError(
            f"{len(truth)} labels of {len(classes)} classes need probabilities of that shape, not {said.shape}"
        )
    known = np.isfinite(said).all(axis=1)
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
    return mean_score(Moments.of(log_losses(*_rows(label, chance, classes))), confidence)


def log_losses(found: npt.NDArray[np.intp], said: Floats) -> Floats:
    """Return what `log_loss` is the mean of, from each row's class by number and its probabilities."""
    return -np.log(np.clip(said[np.arange(len(found)), found], _SURE, 1.0))


def brier(label: npt.ArrayLike, chance: npt.ArrayLike, *, classes: Sequence[str], confidence: float = 0.95) -> Score:
    """Return the Brier score with its t interval; otherwise as `log_loss`.

    With two classes the mean of (p - y)^2 of the last one, in [0, 1]; with more the mean over rows of the sum of the
    squares over classes, in [0, 2]. Both as scikit-learn's `brier_score_loss` has it.
    """
    return mean_score(Moments.of(brier_losses(*_rows(label, chance, classes))), confidence)


def brier_losses(found: npt.NDArray[np.intp], said: Floats) -> Floats:
    """Return what `brier` is the mean of; otherwise as `log_losses`."""
    squares = np.square(said - np.eye(said.shape[1])[found])
    return squares[:, -1] if said.shape[1] == 2 else squares.sum(axis=1)


def calibration_error(
    label: npt.ArrayLike, chance: npt.ArrayLike, *, classes: Sequence[str], confidence: float = 0.95
) -> Score:
    """Return the expected calibration error in ten bins of equal mass, with a bootstrap interval (seeded).

    The mean over bins, weighted by rows, of the distance between what was said and what came: of the last class with
    two of them, of the answered class with more. It is biased up by noise, about ``0.8 * sqrt(p (1 - p) / (n / 10))``:
    with 1,000 rows and shares near one half some 0.04 mean nothing. Otherwise as `log_loss`.
    """
    score, came = reliability(*_rows(label, chance, classes))
    order = np.argsort(score, kind="stable")
    excess = (score - came)[order]
    bins = np.arange(len(excess)) * CALIBRATION_BINS // len(excess)
    value = float(np.abs(np.bincount(bins, excess, CALIBRATION_BINS)).sum() / len(excess))
    chances = np.random.default_rng(0)
    drawn = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        rows = chances.integers(0, len(excess), len(excess))
        drawn[i] = np.abs(np.bincount(bins[rows], excess[rows], CALIBRATION_BINS)).sum() / len(excess)
    # The bootstrap's own bias is as large as the estimate's: its spread is used, its place is not.
    half = float(drawn.std(ddof=1) * ndtri(0.5 + confidence / 2))
    return Score(value, max(value - half, 0.0), value + half, len(excess))


def reliability(found: npt.NDArray[np.intp], said: Floats) -> tuple[Floats, Floats]:
    """Return what was said and what came (0 or 1) of each row, as `calibration_error` compares them."""
    if said.shape[1] == 2:
        return said[:, 1], (found == 1).astype(np.float64)
    return said.max(axis=1), (said.argmax(axis=1) == found).astype(np.float64)


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
    asked = [1] if said.shape[1] == 2 else range(said.shape[1])
    return area_score([_standings(found, said, k) for k in asked], classes, confidence)


def _standings(found: npt.NDArray[np.intp], said: Floats, number: int) -> tuple[Counts, Counts]:
    """Return the rows of a class, and the others, by its probability in ascending order."""
    values, at = np.unique(said[:, number], return_inverse=True)
    mine = found == number
    return np.bincount(at[mine], minlength=len(values)), np.bincount(at[~mine], minlength=len(values))


def area_score(standings: Sequence[tuple[Counts, Counts]], classes: Sequence[str], confidence: float) -> Score:
    """Return the area under the ROC curve from counts of rows by score, ascending.

    Parameters
    ----------
    standings
        Rows of the last class and all others, where there are two classes; else of each class and its others. Shape
        (scores,) each.

    Raises
    ------
    InvariantError
        A class has no row, or all rows.
    """
    sides = [(int(mine.sum()), int(others.sum())) for mine, others in standings]
    rows = (sides[0][1], sides[0][0]) if len(sides) == 1 else tuple(mine for mine, _ in sides)
    lacking = [name for name, n in zip(classes, rows, strict=True) if not n]
    if lacking:
        raise InvariantError(f"ROC AUC needs rows of every class; {lacking} have none")
    found = [_delong(*each, confidence) for each in standings]
    if len(found) == 1:
        return found[0]
    return Score(float(np.mean([each.value for each in found])), None, None, sum(sides[0]))


def _delong(positive: Counts, negative: Counts, confidence: float) -> Score:
    """Return the area, half of each tie counting, with DeLong's interval."""
    m, n = int(positive.sum()), int(negative.sum())
    below = (np.cumsum(negative) - negative / 2) / n
    above = 1.0 - (np.cumsum(positive) - positive / 2) / m
    value = float((positive * below).sum() / m)
    if min(m, n) < 2:
        return Score(value, None, None, m + n)
    ours = float((positive * np.square(below - value)).sum()) / (m - 1)
    theirs = float((negative * np.square(above - value)).sum()) / (n - 1)
    half = math.sqrt(ours / m + theirs / n) * float(ndtri(0.5 + confidence / 2))
    return Score(value, max(value - half, 0.0), min(value + half, 1.0), m + n)


PROBABILISTIC: dict[str, Callable[..., Score]] = {
    "brier": brier,
    "calibration_error": calibration_error,
    "log_loss": log_loss,
    "roc_auc": roc_auc,
}
"""Metrics of class probabilities by name."""
