"""Sums of windows give the metrics of their period: exactly where they add up, else within a known bound."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.stats.metric import Score
from anew.stats.moments import Moments
from anew.stats.outcome import known_for, measure_metric
from anew.stats.sums import MOST_CLASSES, Asked, adds_up, merged, scored, sums_of

TWO, THREE = ("0", "1"), ("a", "b", "c")
EXACT = ("accuracy", "error", "f1", "precision", "recall", "log_loss", "brier")
Rows = tuple[npt.NDArray[np.generic], npt.NDArray[np.generic], npt.NDArray[np.float64] | None]


def classified(n: int, seed: int, classes: tuple[str, ...] = TWO) -> Rows:
    """Return rows of a model that is right about its own chances, but for those that are far out."""
    chances = np.random.default_rng(seed)
    said = chances.dirichlet(np.full(len(classes), 0.6), n)
    came = (said.cumsum(axis=1) < 0.9 * chances.random((n, 1))).sum(axis=1)
    names = np.array(classes)
    return names[came], names[said.argmax(axis=1)], said


def numbers(n: int, seed: int) -> Rows:
    chances = np.random.default_rng(seed)
    return chances.normal(10, 3, n), chances.normal(10, 3, n), None


def in_parts(asked: Asked, rows: Rows, cuts: list[int]) -> Score:
    """Measure by the sums of the rows between cuts."""
    ends = [0, *sorted(cuts), len(rows[0])]
    parts = [
        sums_of(asked, *(None if each is None else each[low:high] for each in rows))  # type: ignore[arg-type]  # chance alone is None
        for low, high in pairwise(ends)
    ]
    half = len(parts) // 2
    return scored(asked, merged([merged(parts[:half]), merged(parts[half:])]) if half else merged(parts), 0.9)


def whole(asked: Asked, rows: Rows) -> Score:
    label, output, chance = rows
    return measure_metric(
        asked.metric,
        asked.task,
        label,
        output,
        positive=asked.positive,
        chance=chance,
        classes=asked.classes,
        confidence=0.9,
    )


def told(score: Score) -> list[float]:
    return [float("nan") if each is None else each for each in score]


@settings(max_examples=40)
@given(
    st.sampled_from([*EXACT, "mae", "rmse", "quantile_loss(0.9)"]),
    st.integers(2, 300),
    st.integers(0, 1000),
    st.lists(st.integers(0, 300), max_size=6),
    st.booleans(),
)
def test_any_split_adds_up_to_what_all_rows_together_give(
    metric: str,
    n: int,
    seed: int,
    cuts: list[int],
    many: bool,
) -> None:
    if metric in EXACT:
        classes = THREE if many else TWO
        asked = Asked(metric=metric, task=Task.MULTICLASS if many else Task.BINARY, positive="1", classes=classes)
        rows = classified(n, seed, classes)
    else:
        asked, rows = Asked(metric=metric, task=Task.REGRESSION), numbers(n, seed)
    cuts = [min(each, n) for each in cuts]
    try:
        expected = whole(asked, rows)
    except InvariantError as exc:
        with pytest.raises(InvariantError, match=str(exc)[:20]):
            in_parts(asked, rows, cuts)
        return
    assert told(in_parts(asked, rows, cuts)) == pytest.approx(told(expected), nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_under_the_curve_lies_within_the_share_of_pairs_that_one_step_holds(seed: int) -> None:
    asked, rows = Asked(metric="roc_auc", task=Task.BINARY, classes=TWO), classified(4000, seed)
    exact, ours = whole(asked, rows), in_parts(asked, rows, [100, 1700, 1700, 2900])
    assert exact.low is not None
    assert exact.high is not None
    hidden = exact.low - (ours.low or 0.0)
    assert abs(ours.value - exact.value) < hidden < 0.003
    assert (ours.low or 0.0) < exact.low < exact.high < (ours.high or 0.0)


def test_scores_that_are_apart_give_the_area_itself() -> None:
    label = np.array(TWO)[np.random.default_rng(1).integers(0, 2, 60)]
    p = np.random.default_rng(2).permutation(np.linspace(0.02, 0.98, 60))
    rows = label, label, np.column_stack([1 - p, p])
    asked = Asked(metric="roc_auc", task=Task.BINARY, classes=TWO)
    assert told(in_parts(asked, rows, [13, 44])) == pytest.approx(told(whole(asked, rows)))


def test_of_three_classes_the_area_is_the_mean_of_each_against_the_rest() -> None:
    asked, rows = Asked(metric="roc_auc", task=Task.MULTICLASS, classes=THREE), classified(3000, 3, THREE)
    ours = in_parts(asked, rows, [7, 1500])
    assert ours.value == pytest.approx(whole(asked, rows).value, abs=0.002)
    assert ours[1:] == (None, None, 3000)


@pytest.mark.parametrize("classes", [TWO, THREE])
@pytest.mark.parametrize("seed", range(3))
def test_calibration_lies_within_the_rows_where_bins_meet(seed: int, classes: tuple[str, ...]) -> None:
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    asked, rows = Asked(metric="calibration_error", task=task, classes=classes), classified(5000, seed, classes)
    exact, ours = whole(asked, rows), in_parts(asked, rows, [800, 2600, 4999])
    assert abs(ours.value - exact.value) < 0.003
    assert exact.high is not None
    assert ours.high is not None
    assert exact.high - exact.value < ours.high - ours.value < exact.high - exact.value + 0.02


def test_scores_that_are_apart_give_the_calibration_itself_with_the_interval_of_a_bootstrap() -> None:
    chances = np.random.default_rng(5)
    p = chances.permutation(1 / (1 + np.exp(-np.linspace(-8, 8, 2000))))
    label = np.where(chances.random(2000) < 0.8 * p, "1", "0")
    asked = Asked(metric="calibration_error", task=Task.BINARY, classes=TWO)
    rows = label, label, np.column_stack([1 - p, p])
    exact, ours = whole(asked, rows), in_parts(asked, rows, [1000])
    assert ours.value == pytest.approx(exact.value)
    assert exact.high is not None
    assert ours.high is not None
    assert ours.high - ours.value == pytest.approx(exact.high - exact.value, rel=0.25)


def test_rows_without_probabilities_are_left_out_and_none_at_all_is_no_score() -> None:
    asked = Asked(metric="brier", task=Task.BINARY, classes=TWO)
    label, output, chance = classified(100, 0)
    none, some = sums_of(asked, label, output, None), sums_of(asked, label, output, chance)
    assert scored(asked, merged([none, some])) == pytest.approx(scored(asked, some))
    for metric in ("brier", "log_loss", "roc_auc", "calibration_error"):
        mute = Asked(metric=metric, task=Task.BINARY, classes=TWO)
        with pytest.raises(InvariantError, match="no row has class probabilities"):
            scored(mute, merged([sums_of(mute, label, output, None)] * 2))


def test_what_is_wrong_in_one_window_is_wrong_in_its_period() -> None:
    asked = Asked(metric="log_loss", task=Task.BINARY, classes=TWO)
    label, output, chance = classified(50, 0)
    strange = sums_of(asked, np.where(label == "1", "2", label), output, chance)
    with pytest.raises(InvariantError, match=r"labels \['2'\] are none of the classes"):
        scored(asked, merged([sums_of(asked, label, output, chance), strange]))


def test_nothing_is_no_score_and_adds_nothing() -> None:
    asked = Asked(metric="mae", task=Task.REGRESSION)
    label, output, _ = numbers(20, 0)
    empty = sums_of(asked, label[:0], output[:0], None)
    with pytest.raises(InvariantError, match="a metric needs rows"):
        scored(asked, merged([empty, empty]))
    found = scored(asked, merged([empty, sums_of(asked, label, output, None)]), 0.9)
    assert told(found) == pytest.approx(told(whole(asked, (label, output, None))))


def test_every_metric_adds_up_but_areas_of_too_many_classes() -> None:
    assert all(adds_up(metric, 2) for task in Task for metric in known_for(task))
    assert not adds_up("roc_auc", MOST_CLASSES + 1)
    assert not adds_up("business.ctr", 2)
    with pytest.raises(InvariantError, match="no sum of its windows"):
        sums_of(Asked(metric="business.ctr", task=Task.BINARY), np.array(["1"]), np.array(["1"]), None)


def test_moments_that_are_not_finite_stay_so() -> None:
    found = Moments.merged([Moments.of(np.array([1.0, np.inf])), Moments.of(np.array([2.0]))])
    assert (found.n, found.mean) == (3, np.inf)
    assert np.isnan(found.variance)
