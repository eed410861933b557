"""Performance of a classifier estimated from its own confidence, while there are no labels (CBPE)."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from anew.domain.errors import InvariantError
from anew.stats.calibration import Calibration, Codes, fit_calibration
from anew.stats.column import Floats
from anew.stats.expectation import EXPECTED, Answered, label_variance
from anew.stats.metric import Score

__all__ = ["ConfidenceEstimator", "fit_confidence"]

_LEAST = 50
_REPLICATES = 40
_MOST_REPEATED = 2_000
"""Rows on which the replicates are compared: more do not change how far they lie apart."""


@dataclass(frozen=True, slots=True)
class ConfidenceEstimator:
    """Estimates metrics of unlabelled rows; see `fit_confidence`."""

    rows: int
    _calibration: Calibration
    _replicates: tuple[Calibration, ...]

    def estimate(
        self, metric: str, scores: Floats, said: Codes, *, averaged: bool = False, confidence: float = 0.95
    ) -> Score:
        """Return what `metric` is on these rows if labels still depend on scores as they did.

        Parameters
        ----------
        metric
            ``accuracy``, ``error``, ``f1``, ``precision``, ``recall``, or ``roc_auc`` of two classes.
        scores
            Shape (n, k): what the model said of each class.
        said
            Shape (n,): number of the class that it answered, from 0.
        averaged
            Take precision, recall and F1 as the mean over all classes, not of the last one.

        Returns
        -------
        Score
            Its interval is meant to hold the metric that these very rows turn out to have: it allows for the chance in
            their labels and for that in the rows that the calibration rests on.

        Raises
        ------
        InvariantError
            The metric is none of these, there are no rows, or none bears on it.
        """
        if metric not in EXPECTED or (metric == "roc_auc" and scores.shape[1] != 2):
            raise InvariantError(f"{metric!r} of {scores.shape[1]} classes is not estimated; {', '.join(EXPECTED)} are")
        if scores.ndim != 2 or said.shape != scores.shape[:1] or not len(said):
            raise InvariantError(f"an estimate needs rows, (n, k) and (n,), not {scores.shape} and {said.shape}")
        value, _ = EXPECTED[metric](Answered(self._calibration.probabilities(scores), said, scores[:, -1], averaged))
        step = -(-len(said) // _MOST_REPEATED)
        bias, variance = self._replicated(metric, scores[::step], said[::step], averaged, len(said))
        value = min(max(value - bias, 0.0), 1.0)
        half = float(ndtri(0.5 + confidence / 2)) * math.sqrt(variance)
        return Score(value, max(value - half, 0.0), min(value + half, 1.0), len(said))

    def _replicated(self, metric: str, scores: Floats, said: Codes, averaged: bool, n: int) -> tuple[float, float]:
        """Return what resampling the reference tells of an estimate on n rows, of which these are some.

        The first number is how far calibrations of resampled rows lie above that of the whole, on average: as far,
        about, as that one lies above the truth, since isotonic maps are sharper than they should be. The second is the
        variance of the estimate against the metric that labels will give.
        """
        chances = np.stack([each.probabilities(scores) for each in (self._calibration, *self._replicates)])
        values = [EXPECTED[metric](Answered(each, said, scores[:, -1], averaged))[0] for each in chances]
        chance = chances[1:].mean(axis=0)
        # A calibrated 0 or 1 is as sure as the rows that it rests on are many: without this the ends had no width.
        smooth = (chance * self.rows + 1.0) / (self.rows + scores.shape[1])
        _, slopes = EXPECTED[metric](Answered(smooth, said, scores[:, -1], averaged))
        of_labels = label_variance(smooth, slopes) * len(said) / n
        return float(np.mean(values[1:])) - values[0], of_labels + float(np.var(values[1:], ddof=1))


def fit_confidence(scores: Floats, label: Codes, *, seed: int = 0) -> ConfidenceEstimator:
    """Calibrate the scores on labelled rows that the model was not trained on.

    Parameters
    ----------
    scores, label
        Shapes (n, k) and (n,); see `fit_calibration`. At least 50 rows.

    Raises
    ------
    InvariantError
        There are too few rows, or all are of one class.

    Notes
    -----
    It sees drift of the rows (other scores), and is blind to concept drift: that labels depend on scores as they did is
    what it takes for granted. Definitions follow NannyML's CBPE, but for the interval: theirs is the metric's standard
    error on the reference times three; ours adds up the variance of the labels given the scores (delta method) and
    that of 40 calibrations of resampled reference rows. Deterministic for a seed.

    References
    ----------
    Guillory et al. (2021), "Predicting with confidence on unseen distributions", ICCV; Białek et al. (2024),
    "Estimating model performance under covariate shift without labels", arXiv 2401.08348.
    """
    if len(label) < _LEAST or len(np.unique(label)) < 2:
        found = f"{len(label)} rows of {len(np.unique(label))} classes"
        raise InvariantError(f"{_LEAST} held-out rows of two classes are the least that an estimate rests on: {found}")
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(len(label), np.full(len(label), 1 / len(label)), size=_REPLICATES)
    replicates = (_refitted(scores, label, each) for each in counts)
    return ConfidenceEstimator(len(label), fit_calibration(scores, label), tuple(replicates))


def _refitted(scores: Floats, label: Codes, times: Codes) -> Calibration:
    drawn = times > 0
    return fit_calibration(scores[drawn], label[drawn], times[drawn].astype(np.float64))
