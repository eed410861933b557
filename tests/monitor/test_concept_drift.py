"""Detectors of losses: each sees its own version's loss rise, and neither another version's nor late labels' order."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from anew.app.component import collect, find_component
from anew.domain.column import Task
from anew.domain.errors import InvariantError, MissingExtraError
from anew.domain.interval import Interval
from anew.monitor import Detector, ScoredRows, Yardstick
from anew.monitor.adwin import ADWIN
from anew.monitor.page_hinkley import PageHinkley
from anew.monitor.sequential import Sequential
from tests.monitor.windows import DAY, reference_of, seen

START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
ALL = [ADWIN(period=MONTH), PageHinkley(period=MONTH), Sequential(period=MONTH)]
NAMES = ["adwin", "page_hinkley", "sequential"]
each_detector = pytest.mark.parametrize("detector", ALL, ids=NAMES)


def held_out(rate: float, n: int = 2000) -> Yardstick:
    """Yardstick of a version that was wrong on this share of its held-out rows."""
    wrong = np.arange(n) < rate * n
    sample = pl.DataFrame(
        {"x": np.zeros(n), "_label": np.where(wrong, "b", "a"), "_output": ["a"] * n, "_held": [True] * n}
    )
    return Yardstick(features=reference_of(sample.select("x")), sample=sample)


def scored(
    seed: int, rate: np.ndarray, versions: np.ndarray | None = None, yardstick: Yardstick | None = None
) -> ScoredRows:
    """Rows at even distances over thirty days, wrong at these rates."""
    n = len(rate)
    wrong = np.random.default_rng(seed).random(n) < rate
    label = np.where(wrong, "b", "a")
    output = np.full(n, "a")
    table = pl.DataFrame(
        {
            "_at": [START + MONTH * i / n for i in range(n)],
            "_version": ["v1"] * n if versions is None else versions,
            "_output": output,
            "_label": label,
        }
    )
    return ScoredRows(
        task=Task.BINARY,
        label=label,
        output=output,
        loss=wrong.astype(np.float64),
        rows=n,
        table=table,
        yardstick=held_out(0.2) if yardstick is None else yardstick,
        version="v1",
        window=Interval(start=START + MONTH - timedelta(days=1), end=START + MONTH),
    )


def found(detector: Detector, rows: ScoredRows) -> bool:
    return detector.judge(detector.measure_scored(rows)) is not None


RISES: list[tuple[str, Callable[[], np.ndarray]]] = [
    ("abrupt", lambda: np.repeat([0.2, 0.4], [1400, 600])),
    ("gradual", lambda: np.concatenate([np.full(800, 0.2), np.linspace(0.2, 0.5, 1200)])),
]


@each_detector
@pytest.mark.parametrize("rate", [make() for _, make in RISES], ids=[name for name, _ in RISES])
def test_a_risen_loss_is_found(detector: Detector, rate: np.ndarray) -> None:
    assert np.mean([found(detector, scored(seed, rate)) for seed in range(15)]) >= 0.9


@each_detector
def test_a_loss_that_stays_or_falls_is_not(detector: Detector) -> None:
    for rate in (np.full(2000, 0.2), np.repeat([0.2, 0.1], 1000)):
        assert np.mean([found(detector, scored(seed, rate)) for seed in range(25)]) <= 0.04


@each_detector
def test_the_finding_says_since_when_and_how_much(detector: Detector) -> None:
    finding = detector.judge(detector.measure_scored(scored(1, np.repeat([0.2, 0.6], [1400, 600]))))
    assert finding is not None
    (evidence,) = finding.evidence
    since = datetime.fromisoformat(evidence.subject.removeprefix("loss since "))
    assert abs(since - (START + MONTH * 0.7)) < timedelta(days=2)
    assert evidence.value == pytest.approx(0.6, abs=0.06)
    assert evidence.reference == pytest.approx(0.22, abs=0.05)
    assert "before 0." in finding.message


@each_detector
def test_what_another_version_answered_does_not_count(detector: Detector) -> None:
    rate = np.repeat([0.2, 0.6, 0.2], [1000, 500, 500])
    others = scored(1, rate, np.repeat(["v1", "v2", "v1"], [1000, 500, 500]))
    assert not found(detector, others)
    before = scored(1, np.repeat([0.2, 0.6], [1000, 1000]), np.repeat(["v0", "v1"], [1000, 1000]), held_out(0.58))
    assert not found(detector, before)


@each_detector
def test_a_label_that_came_late_stands_where_its_row_does(detector: Detector) -> None:
    rows = scored(2, np.repeat([0.2, 0.6], [1400, 600]))
    late = np.arange(2000) % 9 != 4
    early = replace(
        rows,
        loss=rows.loss[late],
        label=rows.label[late],
        output=rows.output[late],
        table=rows.table.filter(pl.Series(late)),
    )
    assert found(detector, early)
    assert found(detector, rows)
    again = detector.measure_scored(rows)
    assert detector.measure_scored(rows) == again


@each_detector
def test_few_rows_or_none_of_the_version_measure_nothing(detector: Detector) -> None:
    few = detector.measure_scored(scored(1, np.full(49, 0.9)))
    foreign = detector.measure_scored(scored(1, np.full(200, 0.9), np.full(200, "v2")))
    assert "labelled rows of this version, 50 are needed" in few[0].problem
    assert "0 labelled rows" in foreign[0].problem
    assert detector.judge((*few, *foreign)) is None
    assert detector.measure_seen(seen(pl.DataFrame({"x": [0.0]}), held_out(0.2))) == ()


def test_bets_are_placed_against_the_loss_at_validation() -> None:
    detector, steady = Sequential(period=MONTH), np.full(1500, 0.35)
    assert found(detector, scored(1, steady, yardstick=held_out(0.2)))
    assert not found(detector, scored(1, steady, yardstick=held_out(0.35)))
    assert not found(ADWIN(period=MONTH), scored(1, steady))


def test_bets_allow_for_chance_at_validation_and_for_the_margin() -> None:
    steady = np.full(1500, 0.24)
    assert found(Sequential(period=MONTH, margin=0.0), scored(1, steady, yardstick=held_out(0.15)))
    assert not found(Sequential(period=MONTH, margin=0.0), scored(1, steady, yardstick=held_out(0.15, 60)))
    assert not found(Sequential(period=MONTH, margin=0.08), scored(1, steady, yardstick=held_out(0.15)))


def test_a_regression_is_bet_on_in_units_of_its_scale() -> None:
    draw = np.random.default_rng(3)
    n = 1000
    held = Yardstick(
        features=reference_of(pl.DataFrame({"x": np.zeros(500)})),
        sample=pl.DataFrame(
            {"_label": draw.normal(0, 2, 500), "_output": np.zeros(500), "_held": np.ones(500, dtype=np.bool_)}
        ),
    )
    rows = scored(1, np.full(n, 0.2), yardstick=held)
    for spread, rose in ((2.0, False), (4.0, True)):
        label = draw.normal(0, spread, n)
        numbers = replace(
            rows,
            task=Task.REGRESSION,
            label=label,
            output=np.zeros(n),
            loss=np.minimum(abs(label) / 10, 1),
            loss_scale=10,
        )
        assert found(Sequential(period=MONTH), numbers) is rose


def test_without_a_sample_there_is_nothing_to_bet_against() -> None:
    bare = Yardstick(features=reference_of(pl.DataFrame({"x": [0.0, 1.0]})))
    (evidence,) = Sequential(period=MONTH).measure_scored(scored(1, np.full(100, 0.2), yardstick=bare))
    assert "without a sample" in evidence.problem
    (evidence,) = Sequential(period=MONTH).measure_scored(scored(1, np.full(100, 0.2), yardstick=held_out(0.2, 49)))
    assert "49 held-out rows" in evidence.problem


def test_an_interval_cut_by_the_period_is_left_out() -> None:
    rows = scored(1, np.full(2000, 0.2))
    shifted = replace(rows, window=Interval(start=DAY.start, end=START + MONTH + timedelta(hours=3)))
    whole, cut = (Sequential(period=MONTH).measure_scored(each)[0] for each in (rows, shifted))
    assert whole.measured
    assert cut.measured


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (ADWIN, {"delta": 0.0}),
        (ADWIN, {"period": timedelta(0)}),
        (ADWIN, {"at_least_rows": 0}),
        (PageHinkley, {"threshold": 0.0}),
        (PageHinkley, {"threshold": float("inf")}),
        (PageHinkley, {"at_least_rows": 9, "most_rows": 8}),
        (Sequential, {"alpha": 1.0}),
        (Sequential, {"margin": 1.0}),
        (Sequential, {"at_least_rows": 1}),
    ],
)
def test_settings_that_mean_nothing_are_refused(kind: type, given: dict[str, object]) -> None:
    with pytest.raises(InvariantError):
        kind(**given)


def test_a_policy_that_needs_river_says_which_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("anew.monitor.adwin", "anew.stats.rise"):
        monkeypatch.delitem(sys.modules, name)
    whole = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "river" else whole(name))
    with pytest.raises(MissingExtraError):
        find_component("monitor", "adwin")
    problems: list[str] = []
    assert collect(problems, "anew.yaml:9:5", lambda: find_component("monitor", "adwin")) is None
    assert problems == ["anew.yaml:9:5: river is not installed; install it with: pip install 'anew[streaming]'"]
