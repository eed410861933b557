"""Objectives by slice: the worst slice is found, noise among many is not, and small slices are left alone."""

import numpy as np
import polars as pl
import pytest

from anew.domain.column import Task
from anew.domain.severity import Severity
from anew.monitor import ScoredRows
from anew.monitor.slo import SLO

BY_SHOP = SLO(metric="error", at_most=0.2, by=("shop",))


def rows(error: dict[str, tuple[int, float]], seed: int = 0, **more: object) -> ScoredRows:
    """Return labelled rows, by shop so many with that share of errors."""
    chance = np.random.default_rng(seed)
    shop = np.repeat(list(error), [n for n, _ in error.values()])
    wrong = np.concatenate([chance.permutation(np.arange(n) < round(n * share)) for n, share in error.values()])
    label = np.full(len(shop), "a")
    output = np.where(wrong, "b", "a")
    return ScoredRows(
        task=Task.BINARY,
        label=label,
        output=output,
        loss=wrong.astype(float),
        rows=len(shop),
        classes=("a", "b"),
        table=pl.DataFrame({"shop": shop, "_label": label, "_output": output} | more),
    )


def test_a_slice_that_breaks_the_objective_is_found_where_the_whole_keeps_it() -> None:
    evidence = BY_SHOP.measure_scored(rows({"north": (900, 0.05), "south": (100, 0.5), "west": (20, 1.0)}))
    assert [(each.subject, each.n) for each in evidence] == [
        ("error", 1020),
        ("error where shop = north", 900),
        ("error where shop = south", 100),
    ]
    assert [each.confidence for each in evidence] == [0.95, 0.975, 0.975]
    finding = BY_SHOP.judge(evidence)
    assert finding is not None
    assert finding.severity is Severity.HIGH
    assert finding.message.startswith("error where shop = south 0.5 (")
    assert [each.subject for each in finding.evidence] == ["error where shop = south"]


def test_without_slices_the_same_rows_keep_it() -> None:
    plain = SLO(metric="error", at_most=0.2)
    assert plain.judge(plain.measure_scored(rows({"north": (900, 0.05), "south": (100, 0.5)}))) is None


def test_many_slices_that_all_keep_it_seldom_alarm() -> None:
    slo = SLO(metric="error", at_most=0.2, by=("shop",))
    alarms = 0
    for seed in range(100):
        chance = np.random.default_rng(seed)
        shares = {f"s{i}": (60, float(chance.binomial(60, 0.19)) / 60) for i in range(40)}
        finding = slo.judge(slo.measure_scored(rows(shares, seed)))
        alarms += finding is not None and any("where" in each.subject for each in finding.evidence)
    assert alarms <= 7


def test_probabilities_go_with_their_rows() -> None:
    given = rows({"north": (200, 0.1), "south": (200, 0.1)})
    p = np.where(given.output == "b", 0.8, 0.2)
    given = rows({"north": (200, 0.1), "south": (200, 0.1)}, _p0=1 - p, _p1=p)
    whole, north, south = SLO(metric="brier", at_most=0.3, by=("shop",)).measure_scored(given)
    assert whole.value == pytest.approx((0.9 * 0.04) + 0.1 * 0.64)
    assert north.value == south.value == pytest.approx(whole.value)
    (none,) = SLO(metric="brier", at_most=0.3).measure_scored(rows({"north": (200, 0.1)}))
    assert none.problem == "brier needs class probabilities, and the model gives none"
