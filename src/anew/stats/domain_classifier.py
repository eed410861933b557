"""Domain classifier: can a model tell the rows of a window from those of the reference?"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.stats.homogeneity import same_rank

__all__ = ["Separation", "separation"]

Floats = npt.NDArray[np.float64]

_LEAST = 40
_TREES = 100
_LEAF_ROWS = 5


class Separation(NamedTuple):
    """How well the two can be told apart.

    Parameters
    ----------
    auc
        Area under the ROC curve of the classifier on points that it was not fitted on: 0.5 when nothing tells them
        apart, 1 when everything does.
    p_value
        That nothing does.
    """

    auc: float
    p_value: float


def separation(first: Floats, second: Floats, *, seed: int = 0) -> Separation:
    """Fit a classifier on one half of both samples and have it sort the other, and the other way round.

    Parameters
    ----------
    first, second
        Shapes (n, d) and (m, d), 40 points or more each; points are taken in turn into the halves.
    seed
        Of the classifier, extremely randomised trees.

    Returns
    -------
    Separation
        The area is the mean of the halves', each on points that its classifier was not fitted on: without a difference
        0.5 on average, whatever the classifier; with one it falls short of what a perfect one would reach. No binning
        and no smoothing. The p-value is twice the smaller of two rank-sum tests, one for each half: on points that it
        never saw a classifier is any function, so that both hold whatever it learnt. NannyML's domain classifier
        measures the same area by gradient-boosted trees, which is the same up to their skill.

    Raises
    ------
    InvariantError
        There are too few points, or they have not one number of coordinates.

    References
    ----------
    Lopez-Paz and Oquab (2017), "Revisiting classifier two-sample tests", ICLR. Rabanser, Günnemann and Lipton (2019),
    "Failing loudly", NeurIPS.
    """
    if first.ndim != 2 or first.shape[1:] != second.shape[1:] or min(len(first), len(second)) < _LEAST:
        raise InvariantError(f"{_LEAST} points on both sides, (n, d) and (m, d): found {first.shape}, {second.shape}")
    points = np.concatenate((first, second))
    now = np.repeat([0, 1], [len(first), len(second)])
    half = np.concatenate((np.arange(len(first)), np.arange(len(second)))) % 2 == 0
    found = [_told(points, now, half, seed), _told(points, now, ~half, seed)]
    p_value = min(1.0, 2 * min(each.p_value for each in found))
    return Separation(float(np.mean([each.auc for each in found])), p_value)


def _told(points: Floats, now: npt.NDArray[np.int64], fitted: npt.NDArray[np.bool_], seed: int) -> Separation:
    from sklearn.ensemble import ExtraTreesClassifier  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, and few ask

    trees = ExtraTreesClassifier(
        n_estimators=_TREES, min_samples_leaf=_LEAF_ROWS, class_weight="balanced", random_state=seed, n_jobs=1
    ).fit(points[fitted], now[fitted])
    score, truth = trees.predict_proba(points[~fitted])[:, 1], now[~fitted]
    levels, place = np.unique(score, return_inverse=True)
    then, here = (np.bincount(place[truth == side], minlength=len(levels)) for side in (0, 1))
    before = np.cumsum(then) - then / 2
    auc = float((here * before).sum()) / (then.sum() * here.sum())
    # The test is two-sided; a classifier that sorts them the wrong way round has told nothing.
    return Separation(auc, same_rank(then, here) if auc > 0.5 else 1.0)
