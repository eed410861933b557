"""Metrics of class probabilities: scikit-learn's values, and intervals that hold."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn import metrics as peer  # type: ignore[import-untyped]  # ships no types

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.stats.outcome import is_known, known_for, measure_metric
from anew.stats.probability import PROBABILISTIC, brier, calibration_error, log_loss, roc_auc

NAMES = {2: ("no", "yes"), 3: ("a", "b", "c")}


def drawn(k: int, n: int = 600, seed: int = 1, sharpness: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Return labels that come as often as said, and what was said; a tie now and then."""
    chance = np.random.default_rng(seed)
    scores = np.round(chance.normal(scale=sharpness, size=(n, k)), 1)
    said = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    number = (chance.random((n, 1)) > said.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
    return np.array(NAMES[k])[number], said


@pytest.mark.parametrize("k", [2, 3])
def test_they_are_scikit_learns(k: int) -> None:
    label, said = drawn(k)
    number = np.searchsorted(NAMES[k], label)
    assert log_loss(label, said, classes=NAMES[k]).value == pytest.approx(peer.log_loss(label, said))
    score = said[:, 1] if k == 2 else said
    options = {} if k == 2 else {"multi_class": "ovr"}
    assert roc_auc(label, said, classes=NAMES[k]).value == pytest.approx(peer.roc_auc_score(number, score, **options))
    expected = peer.brier_score_loss(number, said[:, 1]) if k == 2 else ((said - np.eye(3)[number]) ** 2).sum(1).mean()
    assert brier(label, said, classes=NAMES[k]).value == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["log_loss", "brier", "roc_auc"])
def test_their_intervals_cover_the_truth_as_often_as_they_say(metric: str) -> None:
    label, said = drawn(2, n=400_000, seed=9)
    truth = PROBABILISTIC[metric](label, said, classes=NAMES[2]).value
    covered = 0
    for seed in range(200):
        score = PROBABILISTIC[metric](*drawn(2, n=300, seed=100 + seed), classes=NAMES[2])
        assert score.low is not None
        assert score.high is not None
        covered += score.low <= truth <= score.high
    assert 182 <= covered <= 199  # 95 % of 200, give or take three standard errors


@pytest.mark.parametrize("k", [2, 3])
def test_calibration_tells_the_calibrated_from_the_overconfident(k: int) -> None:
    label, said = drawn(k, n=4000)
    honest = calibration_error(label, said, classes=NAMES[k])
    loud = said**3 / (said**3).sum(axis=1, keepdims=True)
    bold = calibration_error(label, loud, classes=NAMES[k])
    assert honest.value < 0.03
    assert bold.low is not None
    assert honest.high is not None
    assert bold.low > honest.high
    assert calibration_error(label, said, classes=NAMES[k]) == honest  # seeded


def test_calibration_by_hand() -> None:
    said = np.column_stack([np.full(100, 0.3), np.full(100, 0.7)])
    label = np.array(["yes"] * 50 + ["no"] * 50)
    assert calibration_error(label, said, classes=NAMES[2]).value == pytest.approx(0.5)  # bins of ten: 0.3 and 0.7
    assert calibration_error(np.tile(label[45:55], 10), said, classes=NAMES[2]).value == pytest.approx(0.2)


def test_rows_without_probabilities_are_left_out_and_none_is_no_score() -> None:
    label, said = drawn(2)
    with_gaps = said.copy()
    with_gaps[::3] = np.nan
    kept = np.arange(len(label)) % 3 != 0
    expected = log_loss(label[kept], said[kept], classes=NAMES[2])
    assert log_loss(label, with_gaps, classes=NAMES[2]) == expected
    for metric in PROBABILISTIC.values():
        with pytest.raises(InvariantError, match="no row has class probabilities"):
            metric(label, np.full_like(said, np.nan), classes=NAMES[2])


@pytest.mark.parametrize(
    ("label", "shape", "said"),
    [(["no", "maybe"], (2, 2), "none of the classes"), (["no"], (2, 2), "that shape"), (["no"], (1, 3), "that shape")],
)
def test_what_does_not_fit_is_refused(label: Sequence[str], shape: tuple[int, int], said: str) -> None:
    with pytest.raises(InvariantError, match=said):
        brier(label, np.full(shape, 0.5), classes=NAMES[2])


def test_roc_auc_needs_both_classes() -> None:
    with pytest.raises(InvariantError, match=r"\['yes'\] have none"):
        roc_auc(["no", "no"], [[0.5, 0.5], [0.1, 0.9]], classes=NAMES[2])


def test_they_are_asked_for_by_name() -> None:
    label, said = drawn(2)
    answer = np.array(NAMES[2])[said.argmax(axis=1)]
    score = measure_metric("roc_auc", Task.BINARY, label, answer, chance=said, classes=NAMES[2])
    assert score == roc_auc(label, said, classes=NAMES[2])
    with pytest.raises(InvariantError, match="the model gives none"):
        measure_metric("brier", Task.BINARY, label, answer)
    assert is_known("quantile_loss(0.75)", Task.REGRESSION)
    assert not is_known("quantile_loss(1.5)")
    assert not is_known("quantile_loss(0.5)", Task.BINARY)
    assert set(PROBABILISTIC) <= set(known_for(Task.MULTICLASS))
    measured = measure_metric("quantile_loss(0.9)", Task.REGRESSION, [1.0, 2.0], [0.0, 3.0]).value
    assert measured == pytest.approx((0.9 + 0.1) / 2)
