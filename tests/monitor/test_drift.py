"""Stories of drift: each is found with what it needs to be believed, or rightly left alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor import Finding, Traits, Yardstick
from anew.monitor.drift import Drift
from tests.monitor.windows import reference_of, seen

N = 20_000
KINDS = ("north", "south", "east", "west")


def rows(n: int, seed: int, **changed: Any) -> pl.DataFrame:
    """Return n rows of an ordinary day; `changed` columns stand in for their own."""
    rng = np.random.default_rng(seed)
    made = {
        "amount": rng.lognormal(3, 1, n),
        "age": rng.integers(18, 90, n).astype(float),
        "region": rng.choice(KINDS, n, p=[0.4, 0.3, 0.2, 0.1]),
        "hour": rng.integers(0, 24, n).astype(float),
    }
    return pl.DataFrame(made | changed)


REFERENCE = reference_of(rows(N, 1))
TRAITS = Traits(
    reliance={"amount": 0.6, "age": 0.3, "region": 0.095, "hour": 0.005},
    calendar={"hour": "the hour of the day"},
    rows=256,
)
KNOWN = Yardstick(features=REFERENCE, traits=TRAITS)
UNKNOWN = Yardstick(features=REFERENCE)


def found(window: pl.DataFrame, detector: Drift | None = None, yardstick: Yardstick = KNOWN) -> Finding | None:
    detector = detector or Drift()
    return detector.judge(detector.measure_seen(seen(window, yardstick)))


def drifted(window: pl.DataFrame, **more: Any) -> list[str]:
    finding = found(window, **more)
    return [] if finding is None else [each.subject for each in finding.evidence if each.p_value is not None]


@pytest.mark.parametrize("n", [50, 500, 5000])
def test_an_ordinary_window_is_left_alone(n: int) -> None:
    assert drifted(rows(n, 2)) == []


def test_slow_drift_is_found_once_it_is_large_enough_and_from_then_on() -> None:
    """The mean of a column creeps up by 0.02 standard deviations a day."""
    detector = Drift(alpha=1 / 365)
    days = [found(rows(2000, 100 + day, age=normal_age(100 + day, 0.02 * day)), detector, slow()) for day in range(30)]
    first = next(day for day, finding in enumerate(days) if finding is not None)
    assert 3 <= first <= 14
    assert all(finding is not None for finding in days[first + 4 :])


def normal_age(seed: int, shift: float) -> np.ndarray:
    return np.random.default_rng(1000 + seed).normal(50 + 15 * shift, 15, 2000)


def slow() -> Yardstick:
    base = rows(N, 1).with_columns(age=pl.Series(np.random.default_rng(9).normal(50, 15, N)))
    return Yardstick(features=reference_of(base), traits=TRAITS)


def test_a_change_of_unit_is_found_at_once_and_is_high() -> None:
    finding = found(rows(200, 4, age=rows(200, 4).get_column("age") * 12))
    assert finding is not None
    assert finding.severity is Severity.HIGH
    assert finding.message.startswith("drift of age (PSI ")
    assert "; carrying 30% of the model's output; false alarms at most 0.0027 per window" in finding.message


def test_swapped_categories_are_found_though_no_new_one_came() -> None:
    swapped = rows(500, 5).get_column("region").replace({"north": "south", "south": "north"})
    assert drifted(rows(500, 5, region=swapped)) == ["region"]


def test_two_columns_that_changed_places_are_both_found() -> None:
    plain = rows(500, 6)
    assert sorted(drifted(plain.rename({"amount": "age", "age": "amount"}))) == ["age", "amount"]


def test_a_column_of_the_calendar_is_left_out_with_a_note_unless_it_is_asked_for() -> None:
    night = rows(500, 7, hour=np.full(500, 3.0))
    assert drifted(night) == []
    (note,) = [each for each in Drift().measure_seen(seen(night, KNOWN)) if each.problem]
    assert (note.subject, note.measured) == ("hour", False)
    assert note.problem == "left out: it follows the hour of the day, and so differs between windows by construction"
    assert drifted(night, yardstick=UNKNOWN) == ["hour"]
    assert drifted(night, detector=Drift(columns=("hour",))) == ["hour"]


def test_what_is_left_out_is_not_watched() -> None:
    moved = rows(500, 8, age=np.full(500, 30.0), amount=np.full(500, 7.0))
    assert sorted(drifted(moved)) == ["age", "amount"]
    assert drifted(moved, detector=Drift(leave_out=("age",))) == ["amount"]
    assert drifted(moved, detector=Drift(columns=("age", "region"))) == ["age"]


@pytest.mark.parametrize("column", ["amount", "region"])
def test_nulls_in_four_of_ten_rows_are_found_in_one_window(column: str) -> None:
    broken = rows(500, 9).with_columns(
        pl.when(pl.int_range(pl.len()) % 5 < 2).then(None).otherwise(pl.col(column)).alias(column)
    )
    assert drifted(broken) == [column]


def test_a_new_category_of_five_per_cent_has_a_finite_size_and_is_found() -> None:
    new = np.where(np.arange(500) < 25, "centre", rows(500, 10).get_column("region").to_numpy())
    finding = found(rows(500, 10, region=new))
    assert finding is not None
    (evidence,) = [each for each in finding.evidence if each.subject == "region"]
    assert evidence.value is not None
    assert 0 < evidence.value < 10


def test_one_huge_value_and_a_nan_are_no_drift() -> None:
    amount = rows(500, 11).get_column("amount").to_numpy().copy()
    amount[3], amount[4] = 1e6, np.nan
    assert drifted(rows(500, 11, amount=amount), detector=Drift(alpha=1e-3)) == []
    assert drifted(rows(500, 11, amount=np.full(500, np.nan))) == ["amount"]


def test_nothing_measured_is_no_alarm_and_no_calm() -> None:
    for n in (0, 1, 49):
        evidence = Drift().measure_seen(seen(rows(n, 12, age=np.full(n, 1e9)), KNOWN))
        assert evidence
        assert not any(each.measured for each in evidence)
        assert Drift().judge(evidence) is None
    assert Drift().judge(()) is None
    assert Drift().measure_scored(None) == ()  # type: ignore[arg-type]  # it reads none


def test_the_margin_forgives_a_change_that_is_certain_and_small() -> None:
    grown = rows(20_000, 13).with_columns(pl.col("age") + 1.0)
    assert drifted(grown) == []
    assert drifted(grown, detector=Drift(margin=0.0)) == ["age"]


numbers = st.lists(st.none() | st.floats(width=32), min_size=1, max_size=120)
texts = st.lists(st.none() | st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=120)


@given(numbers, numbers, texts, texts, st.floats(1.0, 1e6), st.sampled_from([0.0, 0.005]))
def test_whatever_stands_in_the_rows_the_evidence_is_finite_and_can_be_judged(
    before: list[float | None], now: list[float | None], kinds: list[str | None], seen_now: list[str | None],
    inertia: float, margin: float,
) -> None:  # fmt: skip
    n, m = min(len(before), len(kinds)), min(len(now), len(seen_now))
    base = pl.DataFrame({"x": pl.Series(before[:n], dtype=pl.Float64), "c": pl.Series(kinds[:n], dtype=pl.String)})
    window = pl.DataFrame({"x": pl.Series(now[:m], dtype=pl.Float64), "c": pl.Series(seen_now[:m], dtype=pl.String)})
    traits = Traits(reliance={"x": 1.0, "c": 0.0}, calendar={}, rows=n, inertia={"x": inertia, "c": 1.0})
    detector = Drift(margin=margin, at_least_rows=1, alpha=1e-6)
    evidence = detector.measure_seen(seen(window, Yardstick(features=reference_of(base), traits=traits)))
    tested = [each for each in evidence if each.p_value is not None]
    assert sorted(each.subject for each in tested) == ["c", "x"]
    assert all(each.measured and 0 <= (each.p_value or 0.0) <= 1 and (each.value or 0.0) >= 0 for each in tested)
    detector.judge(evidence)
    assert detector.judge(detector.measure_seen(seen(base, Yardstick(features=reference_of(base))))) is None


def alike(inertia: float) -> Yardstick:
    traits = Traits(reliance=TRAITS.reliance, calendar={}, rows=256, inertia={"age": inertia})
    return Yardstick(features=REFERENCE, traits=traits)


def test_rows_that_resemble_each_other_are_judged_by_fewer() -> None:
    grown = rows(500, 16).with_columns(pl.col("age") + 8.0)
    assert drifted(grown, yardstick=alike(1.0)) == ["age"]
    assert drifted(grown, yardstick=alike(20.0)) == []
    (evidence,) = [each for each in Drift().measure_seen(seen(grown, alike(20.0))) if each.subject == "age"]
    assert evidence.n == 25


def test_a_change_of_unit_is_found_however_alike_rows_are_and_says_what_it_cannot_promise() -> None:
    in_months = rows(500, 17).with_columns(pl.col("age") * 12)
    finding = found(in_months, yardstick=alike(10_000.0))
    assert finding is not None
    assert finding.evidence[0].subject == "age"
    assert finding.message.endswith("per window, which does not hold for age: too few independent rows")
    assert "does not hold" not in str(found(in_months, yardstick=alike(20.0)))
    assert drifted(rows(500, 17), yardstick=alike(10_000.0)) == []


def change(subject: str, low: float, p: float = 1e-9) -> Evidence:
    return Evidence.of("drift>0.005", low + 0.05, 500, subject=subject, interval=(low, low + 0.2), p_value=p)


def carried(subject: str, share: float) -> Evidence:
    return Evidence.of("drift>0.005", share, 256, subject=f"output carried by {subject}")


@pytest.mark.parametrize(
    ("low", "share", "severity"),
    [
        (0.01, 0.05, Severity.LOW),
        (0.01, 0.5, Severity.MEDIUM),
        (0.15, 0.001, Severity.LOW),
        (0.15, 0.05, Severity.MEDIUM),
        (0.15, 0.5, Severity.HIGH),
        (0.4, 0.001, Severity.LOW),
        (0.4, 0.03, Severity.MEDIUM),
        (0.4, 0.05, Severity.HIGH),
        (0.01, None, Severity.LOW),
        (0.15, None, Severity.MEDIUM),
        (0.4, None, Severity.HIGH),
    ],
)
def test_severity_weighs_the_least_size_by_what_the_model_makes_of_the_column(
    low: float, share: float | None, severity: Severity
) -> None:
    finding = Drift().judge((change("x", low), *(() if share is None else (carried("x", share),))))
    assert finding is not None
    assert finding.severity is severity


def test_columns_that_carry_little_each_weigh_together() -> None:
    names = [f"x{i}" for i in range(8)]
    finding = Drift().judge((*(change(name, 0.15) for name in names), *(carried(name, 0.03) for name in names)))
    assert finding is not None
    assert finding.severity is Severity.HIGH
    assert "carrying 24% of the model's output" in finding.message
    assert " and 3 more" in finding.message


def test_an_old_version_says_that_its_reliance_is_not_known() -> None:
    finding = found(rows(500, 14, age=np.full(500, 30.0)), yardstick=UNKNOWN)
    assert finding is not None
    assert "is not known: the version was stored without it" in finding.message


def test_many_columns_are_corrected_for() -> None:
    ps = [change(f"x{i}", 0.01, p=0.001) for i in range(30)]
    assert Drift(alpha=0.02).judge(ps[:20]) is not None  # type: ignore[arg-type]  # a sequence does
    assert Drift(alpha=0.02).judge(tuple(ps)) is None


def test_a_column_that_could_not_be_measured_neither_alarms_nor_hinders() -> None:
    nothing = Evidence.of("drift>0.005", None, 0, subject="y", problem="broke")
    finding = Drift().judge((nothing, change("x", 0.3), Evidence.of("drift>0.005", float("nan"), 5, subject="z")))
    assert finding is not None
    assert [each.subject for each in finding.evidence] == ["x"]


def test_the_declared_budget_stands_in_the_alert() -> None:
    finding = found(rows(500, 15, age=np.full(500, 30.0)), Drift(alpha=0.01, declared="1 per 100d declared"))
    assert finding is not None
    assert finding.message.endswith("false alarms at most 0.01 per window (1 per 100d declared)")


@pytest.mark.parametrize(
    "given",
    [
        {"margin": -0.1},
        {"margin": float("nan")},
        {"margin": 1.0},
        {"alpha": 0.0},
        {"alpha": 0.5},
        {"alpha": float("nan")},
        {"at_least_rows": 0},
        {"columns": ("a",), "leave_out": ("a",)},
    ],
)
def test_settings_that_could_never_find_or_always_would_are_refused(given: Mapping[str, Any]) -> None:
    with pytest.raises(InvariantError):
        Drift(**given)


def test_the_key_tells_what_is_watched_not_how_strictly() -> None:
    assert Drift(alpha=0.01).key == Drift().key == "drift>0.005"
    assert Drift(columns=("a", "b"), margin=0.0).key == "drift(a, b)>0"


def test_in_ordinary_windows_false_alarms_are_as_rare_as_declared() -> None:
    """A look only; `bench/alarms.py` counts years."""
    alpha, runs = 0.1, 150
    detector = Drift(margin=0.0, alpha=alpha, columns=("amount", "age", "region", "hour"))
    wrong = sum(found(rows(300, 10_000 + run), detector) is not None for run in range(runs))
    assert wrong <= alpha * runs + 3 * (alpha * (1 - alpha) * runs) ** 0.5
    half = [found(rows(300, 10_000 + run, age=rows(300, run).get_column("age") + 4.0), detector) for run in range(20)]
    assert sum(each is not None for each in half) > 10
