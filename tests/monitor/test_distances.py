"""Detectors by one distance: each finds what moved by as much as is asked for, and says how certain that is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.app.component import find_component, make_component
from anew.domain.errors import InvariantError, SettingsError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor import Detector, Finding, Yardstick
from anew.monitor.chi_squared import ChiSquared
from anew.monitor.domain_classifier import DomainClassifier
from anew.monitor.js import JS
from anew.monitor.ks import KS
from anew.monitor.mmd import MMD
from anew.monitor.ood import OOD
from anew.monitor.psi import PSI
from anew.stats import distance
from anew.stats.distance import coarsen
from tests.monitor.windows import reference_of, scored, seen

N = 4000
NUMBERS = ("ks", "wasserstein")
BOTH = ("chi_squared", "js", "kl", "psi", "total_variation")
WIDTH = 6


def rows(n: int, seed: int, *, shift: float = 0.0, swap: bool = False, turn: bool = False) -> pl.DataFrame:
    """Return rows of two numbers that move together, a category, and a vector."""
    chance = np.random.default_rng(seed)
    x = chance.normal(size=n)
    z = x + 0.3 * chance.normal(size=n)
    if turn:
        z = chance.permutation(z)
    levels = np.array(["a", "b", "c"])[np.searchsorted([0.6, 0.9], chance.random(n))]
    if swap:
        levels = np.where(levels == "a", "c", np.where(levels == "c", "a", levels))
    vector = chance.normal(shift, 1, size=(n, WIDTH))
    return pl.DataFrame(
        {"x": x + shift, "z": z, "c": levels, "e": pl.Series(vector, dtype=pl.Array(pl.Float64, WIDTH))}
    )


REFERENCE = rows(N, 1)
YARDSTICK = Yardstick(features=reference_of(REFERENCE), sample=REFERENCE.with_columns(_held=pl.lit(value=False)))


def told(name: str, window: pl.DataFrame, **options: Any) -> tuple[tuple[Evidence, ...], Finding | None]:
    detector: Detector = make_component(find_component("monitor", name), options)
    evidence = detector.measure_seen(seen(window, YARDSTICK))
    assert all(each.name == detector.key for each in evidence)
    return evidence, detector.judge(evidence)


@pytest.mark.parametrize("name", [*NUMBERS, *BOTH])
def test_a_column_that_moved_is_found_and_an_ordinary_window_is_not(name: str) -> None:
    evidence, calm = told(name, rows(2000, 2), column="x")
    assert [each.subject for each in evidence] == ["x"]
    assert calm is None
    evidence, finding = told(name, rows(2000, 3, shift=0.8), column="x")
    assert finding is not None
    assert finding.evidence[0].subject == "x"
    assert finding.evidence[0].p_value is not None
    assert finding.evidence[0].p_value < 1e-9
    assert "x " in finding.message
    assert "(p " in finding.message


@pytest.mark.parametrize("name", BOTH)
def test_categories_that_swap_their_shares_are_found(name: str) -> None:
    evidence, finding = told(name, rows(1000, 4, swap=True))
    assert finding is not None
    assert [each.subject for each in finding.evidence] == ["c"]
    assert {each.subject for each in evidence} >= {"x", "z", "c", "e", "e direction 1"}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_distance_of_numbers_says_nothing_of_categories(name: str) -> None:
    evidence, _ = told(name, rows(1000, 5))
    assert "c" not in {each.subject for each in evidence}
    (asked,), finding = told(name, rows(1000, 5), column="c")
    assert not asked.measured
    assert "holds levels" in asked.problem
    assert finding is None


@pytest.mark.parametrize("name", [*NUMBERS, *BOTH])
def test_the_value_is_that_of_the_two_profiles(name: str) -> None:
    window = rows(1500, 6, shift=0.2)
    (found,), _ = told(name, window, column="x")
    base, now = YARDSTICK.features.own.columns["x"], seen(window, YARDSTICK).profile().columns["x"]
    known = {"psi": distance.psi_deciles, "chi_squared": lambda *pair: distance.chi_squared(*pair).statistic}
    plain: Any = known.get(name, getattr(distance, name))
    pair = (base, now) if name in NUMBERS else coarsen(base, now)
    assert found.value == pytest.approx(plain(*pair), rel=1e-12)


@pytest.mark.parametrize("name", [*NUMBERS, *BOTH])
def test_too_few_rows_and_an_empty_window_are_no_evidence(name: str) -> None:
    for window in (rows(99, 7, shift=5.0), rows(0, 7)):
        evidence, finding = told(name, window)
        assert finding is None
        assert not any(each.measured for each in evidence)
        assert all("100 are needed" in each.problem for each in evidence)


@pytest.mark.parametrize("name", [*NUMBERS, *BOTH])
def test_a_period_is_measured_with_the_scores_by_all_its_answers(name: str) -> None:
    window = rows(300, 12, shift=0.8)
    detector: Detector = make_component(find_component("monitor", name), {"column": "x", "period": timedelta(days=3)})
    assert (detector.labels, detector.over) == (True, timedelta(days=3))
    assert detector.key.endswith(" over 72h")
    assert detector.measure_seen(seen(window, YARDSTICK)) == ()
    few = replace(scored(["1"] * 12, YARDSTICK), answers=window, rows=window.height)
    evidence = detector.measure_scored(few)
    ((plain,), _) = told(name, window, column="x")
    assert evidence == (replace(plain, name=detector.key),)
    assert detector.judge(evidence) is not None
    assert find_component("monitor", name)(column="x").measure_scored(few) == ()


def test_a_period_without_rows_or_yardstick_is_no_evidence() -> None:
    detector = PSI(period=timedelta(days=3))
    for empty in (scored([], YARDSTICK), replace(scored(["1"], None), answers=rows(300, 12), rows=300)):
        evidence = detector.measure_scored(empty)
        assert evidence
        assert not any(each.measured for each in evidence)
        assert detector.judge(evidence) is None


def test_a_window_without_a_number_has_no_distance_of_numbers() -> None:
    window = rows(500, 8).with_columns(x=pl.lit(None, pl.Float64))
    for name in NUMBERS:
        (found,), finding = told(name, window, column="x")
        assert (found.measured, finding) == (False, None)


def test_vectors_are_found_by_name_in_their_parts() -> None:
    evidence, finding = told("psi", rows(1000, 9, shift=1.5), column="e")
    assert [each.subject for each in evidence] == ["e", *(f"e direction {i}" for i in range(1, WIDTH + 1))]
    assert finding is not None


def test_a_limit_on_the_p_value_stands_in_for_one_on_the_distance() -> None:
    slight = rows(N, 10, shift=0.2)
    assert told("ks", slight, column="x")[1] is None
    finding = told("ks", slight, column="x", p_below=0.001)[1]
    assert finding is not None
    assert finding.severity is Severity.MEDIUM
    assert KS(column="x", p_below=0.001).key == "ks(x):p<0.001"
    assert JS().key == "js>0.1"
    assert ChiSquared(above=50).key == "chi_squared>50"


def test_twice_the_limit_is_high() -> None:
    assert getattr(told("js", rows(500, 11, shift=0.4), column="x")[1], "severity", None) is Severity.MEDIUM
    assert getattr(told("js", rows(500, 11, shift=2.0), column="x")[1], "severity", None) is Severity.HIGH


@pytest.mark.parametrize(
    "options",
    [{"above": 0.0}, {"above": float("nan")}, {"p_below": 1.0}, {"at_least_rows": 0}, {"above": 0.2, "p_below": 0.1}],
)
def test_limits_that_mean_nothing_are_refused(options: dict[str, float]) -> None:
    for name in (*NUMBERS, *BOTH):
        with pytest.raises(SettingsError, match="give one limit"):
            make_component(find_component("monitor", name), options)


@pytest.mark.parametrize("name", ["mmd", "domain_classifier"])
def test_columns_that_move_together_no_longer_are_seen_by_whole_rows_alone(name: str) -> None:
    apart = rows(2000, 12, turn=True)
    for by_column in ("psi", "ks"):
        assert told(by_column, apart)[1] is None
    (found,), finding = told(name, apart, columns=["x", "z"])
    assert finding is not None
    assert "x, z" in finding.message
    assert found.n <= 1000
    (found,), finding = told(name, rows(2000, 13), columns=["x", "z"])
    assert found.measured
    assert finding is None


@pytest.mark.parametrize("name", ["mmd", "domain_classifier"])
def test_vectors_and_categories_are_part_of_a_row(name: str) -> None:
    assert told(name, rows(800, 14), columns=["e", "c"])[1] is None
    assert told(name, rows(800, 15, shift=1.0), columns=["e"])[1] is not None
    assert told(name, rows(800, 16, swap=True), columns=["c"])[1] is not None
    lists = rows(800, 15, shift=1.0).with_columns(pl.col("e").arr.to_list())  # as a lake gives them
    assert told(name, lists, columns=["e"])[1] is not None


@pytest.mark.parametrize("detector", [MMD(), DomainClassifier(), OOD(share_above=0.1)])
def test_without_a_sample_or_enough_rows_nothing_is_measured(detector: Detector) -> None:
    bare = Yardstick(features=YARDSTICK.features)
    for window, yardstick in ((rows(500, 17), bare), (rows(30, 17), YARDSTICK)):
        (found,) = detector.measure_seen(seen(window, yardstick))
        assert not found.measured
        assert found.problem
        assert detector.judge((found,)) is None


def test_the_sample_is_encoded_once_for_a_version() -> None:
    yardstick = Yardstick(features=YARDSTICK.features, sample=YARDSTICK.sample)
    for seed in (18, 19):
        MMD().measure_seen(seen(rows(200, seed), yardstick))
    assert list(yardstick.kept) == ["points/500/"]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (MMD, {"p_below": 0.001}),
        (MMD, {"rows": 10_000}),
        (MMD, {"at_least_rows": 5}),
        (DomainClassifier, {"above": 0.5}),
        (DomainClassifier, {"rows": 50}),
    ],
)
def test_a_sample_has_to_allow_what_is_asked(kind: type[Any], options: dict[str, float]) -> None:
    with pytest.raises(InvariantError):
        kind(**options)


@pytest.mark.parametrize("method", ["mahalanobis", "isolation_forest"])
def test_vectors_unlike_any_in_training_are_out_of_distribution(method: str) -> None:
    mixed = pl.concat([rows(350, 20), rows(150, 21, shift=4.0)])
    (found,), finding = told("ood", mixed, method=method, columns=["e"], share_above=0.15)
    assert finding is not None
    assert found.value == pytest.approx(0.3, abs=0.05)
    assert told("ood", rows(500, 22), method=method, columns=["e"], share_above=0.15)[1] is None
    missing = rows(500, 23).with_columns(e=pl.lit(None, pl.Array(pl.Float64, WIDTH)))
    assert told("ood", missing, method=method, columns=["e"], share_above=0.15)[1] is None
