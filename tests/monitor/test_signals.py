"""Thumbs, contradicted labels, outcomes of two sides, and metrics without an objective."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_ind

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.severity import Severity
from anew.monitor import ScoredRows
from anew.monitor.ab_outcome import ABOutcome
from anew.monitor.label_quality import LabelQuality
from anew.monitor.performance import Performance
from anew.monitor.thumbs import Thumbs


def rows(n: int, *, words: pl.DataFrame | None = None, task: Task = Task.BINARY, **columns: Any) -> ScoredRows:
    given = {"_label": ["1"] * n, "_output": ["1"] * n, "_version": ["v1"] * n} | columns
    answers = pl.DataFrame(given)
    table = answers.filter(pl.col("_label").is_not_null())
    label, output = (table.get_column(each).to_numpy() for each in ("_label", "_output"))
    return ScoredRows(
        task=task,
        label=label,
        output=output,
        loss=(label != output).astype(float),
        rows=n,
        positive="1",
        table=table,
        answers=answers,
        words=pl.DataFrame() if words is None else words,
        version="v1",
    )


def thumbs(down: int, up: int, none: int = 0) -> list[float | None]:
    return [0.0] * down + [1.0] * up + [None] * none


def test_too_many_thumbs_down_are_found_among_those_who_gave_one() -> None:
    detector = Thumbs(down_above=0.3)
    evidence = detector.measure_scored(rows(1000, thumb=thumbs(60, 40, 900)))
    assert (evidence[0].value, evidence[0].n) == (0.6, 100)
    finding = detector.judge(evidence)
    assert finding is not None
    assert finding.severity is Severity.HIGH
    assert detector.judge(detector.measure_scored(rows(100, thumb=thumbs(30, 70)))) is None
    barely = detector.judge(detector.measure_scored(rows(100, thumb=thumbs(31, 69))))
    assert barely is not None
    assert barely.severity is Severity.MEDIUM


@pytest.mark.parametrize("columns", [{"thumb": thumbs(20, 0, 80)}, {}])
def test_too_few_thumbs_say_nothing(columns: dict[str, Any]) -> None:
    detector = Thumbs(down_above=0.3)
    evidence = detector.measure_scored(rows(100, **columns))
    assert evidence[0].value is None
    assert detector.judge(evidence) is None


def said(*pairs: tuple[str | None, str | None], source: str = "user") -> pl.DataFrame:
    """Return the words of the source ``api`` and of another on prediction after prediction."""
    words = [
        (f"p{i}", name, value)
        for i, pair in enumerate(pairs)
        for name, value in zip(("api", source), pair, strict=True)
        if value is not None
    ]
    return pl.DataFrame(words, schema=["_prediction", "_source", "_value"], orient="row")


def test_corrections_of_users_that_contradict_the_labels_are_an_incident() -> None:
    detector = LabelQuality()
    words = said(*[("1", "0")] * 40, *[("1", "1")] * 40, *[("1", None)] * 500)
    between, _ = detector.measure_scored(rows(580, words=words))
    assert (between.value, between.n) == (0.5, 80)
    finding = detector.judge((between,))
    assert finding is not None
    assert "sources disagree in 50% of 80" in finding.message
    assert detector.incident


def test_a_proxy_that_differs_from_a_label_is_no_contradiction() -> None:
    between, *_ = LabelQuality().measure_scored(rows(50, words=said(*[("1", "0")] * 50, source="implicit")))
    assert between.value is None


def test_how_far_proxies_are_from_labels_is_measured_and_judged_by_nobody() -> None:
    """Of 400 answers the event is missing for 40 of 100 good ones, and comes with 15 of 300 bad ones."""
    pairs = [("1", "0")] * 40 + [("1", "1")] * 60 + [("0", "1")] * 15 + [("0", "0")] * 285
    unsaid = [(None, "1")] * 90 + [("1", None)] * 80
    detector = LabelQuality()
    evidence = detector.measure_scored(rows(570, words=said(*pairs, *unsaid, source="implicit")))
    differ, more = evidence[2:]
    assert (differ.value, differ.n, differ.reference) == (55 / 400, 400, None)
    assert (more.value, more.n) == (-25 / 400, 400)
    assert more.low is not None
    assert more.high is not None
    assert more.low < -25 / 400 < more.high < 0, "they say less than is true"
    assert detector.judge(evidence) is None
    fair = [("1", "1")] * 100 + [("0", "0")] * 300
    same = detector.measure_scored(rows(400, words=said(*fair, source="implicit")))[2:]
    assert [each.value for each in same] == [0.0, 0.0], "control: proxies that are right are not far"
    few = detector.measure_scored(rows(20, words=said(*pairs[:20], source="implicit")))[2:]
    assert [each.measured for each in few] == [False]
    assert len(detector.measure_scored(rows(400, words=said(*fair)))) == 2, "nor is anything said without proxies"


def test_how_far_proxies_of_a_number_are_is_in_its_units() -> None:
    words = said(*[("1.0", "1.5"), ("2.0", "1.9")] * 50, source="implicit")
    differ, more = LabelQuality(tolerance=0.2).measure_scored(rows(100, words=words, task=Task.REGRESSION))[1:]
    assert differ.value == 0.5
    assert more.value == pytest.approx(0.2)


def test_labels_of_a_regression_agree_within_the_tolerance() -> None:
    words = said(*[("1.0", "1.4")] * 40)
    for tolerance, value in ((0.5, 0.0), (0.3, 1.0)):
        scored = rows(40, words=words, task=Task.REGRESSION)
        (between,) = LabelQuality(tolerance=tolerance).measure_scored(scored)
        assert between.value == value


def test_thumbs_that_contradict_the_labels_are_an_incident() -> None:
    detector = LabelQuality()
    label = ["1"] * 50 + ["0"] * 50
    agreeing, against = thumbs(50, 50)[::-1], thumbs(50, 50)
    for thumb, found in ((agreeing, False), (against, True)):
        evidence = detector.measure_scored(rows(100, _label=label, thumb=thumb))
        assert evidence[1].value == (1.0 if found else 0.0)
        assert (detector.judge(evidence) is not None) is found


def test_a_few_contradictions_among_few_are_no_incident() -> None:
    detector = LabelQuality()
    evidence = detector.measure_scored(rows(40, words=said(*[("1", "0")] * 10, *[("1", "1")] * 30)))
    assert evidence[0].value == 0.25
    assert detector.judge(evidence) is None, "a quarter of forty may be a fifth of all"


def test_the_champion_that_does_worse_than_the_other_side_is_found_by_welch_s_test() -> None:
    chance = np.random.default_rng(4)
    ours, theirs = chance.random(4000) < 0.041, chance.random(1500) < 0.06
    detector = ABOutcome(outcome="bought")
    version = ["v1"] * 4000 + ["v2"] * 1500
    scored = rows(5500, _version=version, bought=np.concatenate([ours, theirs]).astype(float))
    (evidence,) = detector.measure_scored(scored)
    expected = ttest_ind(theirs.astype(float), ours.astype(float), equal_var=False, alternative="greater")
    assert evidence.p_value == pytest.approx(expected.pvalue)
    assert evidence.value == pytest.approx(theirs.mean() - ours.mean())
    finding = detector.judge((evidence,))
    assert finding is not None
    assert "bought is worse" in finding.message
    margin = ABOutcome(outcome="bought", worse_by=0.05)
    assert margin.judge(margin.measure_scored(scored)) is None


def test_two_sides_alike_are_found_different_as_seldom_as_declared() -> None:
    chance = np.random.default_rng(6)
    detector = ABOutcome(outcome="bought", alpha=0.05)
    version = ["v1"] * 500 + ["v2"] * 200
    found = sum(
        detector.judge(detector.measure_scored(rows(700, _version=version, bought=chance.normal(size=700)))) is not None
        for _ in range(300)
    )
    assert 4 <= found <= 28  # binomial(300, 0.05), with 1e-3 on either side


def test_by_losses_labels_are_what_counts() -> None:
    version, label = ["v1"] * 200 + ["v2"] * 200, ["0"] * 100 + ["1"] * 300
    detector = ABOutcome()
    (evidence,) = detector.measure_scored(rows(400, _version=version, _label=label))
    assert evidence.value == 0.5
    assert detector.judge((evidence,)) is not None


@pytest.mark.parametrize("columns", [{"bought": [1.0] * 400}, {"_version": ["v1"] * 350 + ["v2"] * 50}, {}])
def test_one_side_alone_says_nothing(columns: dict[str, Any]) -> None:
    detector = ABOutcome(outcome="bought" if "bought" in columns else "")
    evidence = detector.measure_scored(rows(400, **columns))
    assert evidence[0].value is None
    assert detector.judge(evidence) is None


def test_metrics_are_on_record_slice_by_slice_and_alert_nobody() -> None:
    detector = Performance(metrics=("accuracy", "recall"), by=("land",), at_least_rows=20)
    label = ["1", "0", "1", "1"] * 50
    land = ["no", "no", "se", "se"] * 50
    found = detector.measure_scored(rows(200, _label=label, land=land))
    assert {each.subject: each.value for each in found} == {
        "accuracy": 0.75,
        "accuracy where land = no": 0.5,
        "accuracy where land = se": 1.0,
        "recall": 1.0,
        "recall where land = no": 1.0,
        "recall where land = se": 1.0,
    }
    assert all(each.low is not None and each.high is not None for each in found)
    assert detector.judge(found) is None
    few = detector.measure_scored(rows(19))
    assert [each.problem for each in few] == ["19 labelled rows, 20 are needed"] * 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Thumbs(down_above=1.0),
        lambda: Thumbs(down_above=0.1, at_least=0),
        lambda: LabelQuality(disagree_above=-0.1),
        lambda: LabelQuality(at_least=0),
        lambda: ABOutcome(alpha=0.6),
        lambda: ABOutcome(worse_by=-1.0),
        lambda: Performance(metrics=()),
        lambda: Performance(metrics=("taste",)),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Any) -> None:
    with pytest.raises(InvariantError):
        make()
