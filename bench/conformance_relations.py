"""How each value of a peer follows from ours, and within what: the table that bench and test share.

Definitions differ: in bins, in the base of a logarithm, in direction, in whether the reference is a sample too. Where
a peer counts on bins of its own, ours is measured on those bins.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anew.stats.column import ColumnProfile
from anew.stats.distance import chi_squared, js, kl, ks, psi_deciles, total_variation, wasserstein
from anew.stats.domain_classifier import separation
from anew.stats.mmd import mmd
from anew.stats.profile import Reference
from anew.stats.significance import ks_significance

__all__ = ["RELATIONS", "TOGETHER_RELATION", "Relation"]

Value = Callable[[np.ndarray, np.ndarray], float]
_EXACT = 1e-9
_MMD_POINTS = 200
_AS_EXACT = 10**7
"""Times that the reference is counted where a peer takes it for the truth and not for a sample."""


@dataclass(frozen=True)
class Relation:
    """What ours is in the peer's terms, how far theirs may lie from it, relatively or absolutely, and why.

    `again` is how far the peer may lie from what it said itself at another time.
    """

    ours: Value
    relative: float = _EXACT
    absolute: float = _EXACT
    why: str = "the same definition"
    again: float = _EXACT


def _profiles(first: np.ndarray, second: np.ndarray) -> tuple[ColumnProfile, ColumnProfile]:
    against = Reference.fit({"x": first})
    return against.own.columns["x"], against.profile({"x": second}).columns["x"]


def _levels(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    levels = np.unique(np.concatenate((first, second)))
    return tuple((side[:, None] == levels).sum(axis=0) for side in (first, second))


def _sturges(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count on Evidently's bins: equally wide, over both sides."""
    if first.dtype.kind != "f":
        return _levels(first, second)
    edges = np.histogram_bin_edges(np.concatenate((first, second)), bins="sturges")
    return np.histogram(first, edges)[0], np.histogram(second, edges)[0]


def _doane(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count on NannyML's bins: equally wide, over the reference, and one for what lies beyond."""
    if first.dtype.kind != "f":
        return _levels(first, second)
    edges = np.histogram_bin_edges(first, bins="doane")
    inside = np.histogram(second, edges)[0]
    return np.append(np.histogram(first, edges)[0], 0), np.append(inside, len(second) - inside.sum())


def _iqr(first: np.ndarray) -> float:
    return float(np.subtract(*np.quantile(first, [0.75, 0.25], method="inverted_cdf")))


def _earth(scale: Callable[[np.ndarray], float]) -> Value:
    return lambda a, b: wasserstein(*_profiles(a, b)) * _iqr(a) / scale(a)


def _median_width(a: np.ndarray, b: np.ndarray) -> float:  # noqa: ARG001  one shape for all
    """Return the kernel's width that Evidently takes: by the reference's distances, those of 0 among them."""
    apart = np.square(a[:, None] - a).ravel()
    return float(np.sqrt(0.5 * np.percentile(apart, 50, method="nearest")))


def _mmd(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a[:_MMD_POINTS], b[:_MMD_POINTS]
    return mmd(a[:, None], b[:, None], width=_median_width(a, b)).value


def _one_sample(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    then, now = _levels(a, b)
    return then * _AS_EXACT, now


_BINNED = "ours sees gaps at the edges of 256 bins only"
_LOG_P = Relation(
    lambda a, b: -math.log10(ks_significance(*_profiles(a, b))), 0.15, 0.1, f"-log10 of the p-value; {_BINNED}"
)
_KS = Relation(lambda a, b: ks(*_profiles(a, b)), 0.0, 0.005, _BINNED)
_RAW = Relation(_earth(lambda _: 1.0), 0.01, 0.012, "ours puts a bin's values at their mean")
_CHI = Relation(lambda a, b: chi_squared(*_levels(a, b)).statistic)
_CHI_P = Relation(lambda a, b: chi_squared(*_levels(a, b)).p_value, 1e-6)
_NATS = "theirs in nats: ours times the root of ln 2"

RELATIONS: dict[tuple[str, str], Relation] = {
    ("scipy", "ks"): _KS,
    ("scipy", "ks_p"): _LOG_P,
    ("scipy", "wasserstein"): _RAW,
    ("scipy", "chi"): _CHI,
    ("scipy", "chi_p"): _CHI_P,
    ("scipy", "jensenshannon"): Relation(lambda a, b: js(*_levels(a, b))),
    ("scipy", "entropy"): Relation(lambda a, b: kl(*_levels(a, b))),
    ("scipy", "total_variation"): Relation(lambda a, b: total_variation(*_levels(a, b)), 1e-6),
    ("evidently", "psi"): Relation(lambda a, b: psi_deciles(*_sturges(a, b)), why="on their bins"),
    ("evidently", "jensenshannon"): Relation(lambda a, b: js(*_sturges(a, b)) * math.log(2) ** 0.5, why=_NATS),
    ("evidently", "kl_div"): Relation(
        lambda a, b: kl(*reversed(_sturges(a, b))), 0.05, 0.005, "the other direction; an empty bin is 1e-4 to them"
    ),
    ("evidently", "wasserstein"): Relation(_earth(lambda a: float(a.std())), 0.01, 0.012, "theirs by sd, ours by IQR"),
    ("evidently", "ks_p"): _LOG_P,
    ("evidently", "chi_p"): Relation(
        lambda a, b: chi_squared(*_one_sample(a, b)).p_value, 1e-3, why="theirs takes the reference for exact"
    ),
    ("evidently", "mmd"): Relation(_mmd, why="with their width of the kernel"),
    ("nannyml", "jensen_shannon"): Relation(lambda a, b: js(*_doane(a, b)), why="on their bins"),
    ("nannyml", "kolmogorov_smirnov"): _KS,
    ("nannyml", "wasserstein"): _RAW,
    ("nannyml", "chi2"): _CHI,
    ("whylogs", "ks"): Relation(
        _KS.ours, 0.0, 0.03, "theirs from sketches that draw lots, at some quantiles", again=0.01
    ),
    ("whylogs", "chi"): Relation(
        lambda a, b: chi_squared(*_one_sample(a, b)).statistic, 0.15, 0.5, "theirs rounds what it expects, and is exact"
    ),
    ("alibi", "ks"): _KS,
    ("alibi", "ks_p"): _LOG_P,
    ("alibi", "chi"): Relation(_CHI.ours, 1e-6, why="theirs in single precision"),
    ("alibi", "chi_p"): _CHI_P,
}
"""By peer and measure; of p-values of Kolmogorov and Smirnov's test the logarithm."""

TOGETHER_RELATION = Relation(
    lambda a, b: separation(a, b).auc, 0.0, 0.05, "theirs boosts trees on folds, ours averages random ones on halves"
)
"""NannyML's domain classifier on the columns together, shapes (n, d) and (m, d)."""
