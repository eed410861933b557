"""What is asked about: the quota is kept, each reason draws from its own pool, and propensities are true."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.domain.interval import Interval
from anew.feedback.choice import RANDOM, ReviewRule, choose, disagreeing, quota, unsure

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_day_has_its_quota_however_it_is_cut() -> None:
    rule = ReviewRule(per_day=50)
    for parts in (1, 7, 24, 96):
        edges = [T0 + timedelta(days=1) * i / parts for i in range(parts + 1)]
        spans = [Interval(start=a, end=b) for a, b in pairwise(edges)]
        assert sum(quota(rule, span) for span in spans) == 50
    assert quota(rule, Interval(start=T0, end=T0)) == 0


@pytest.mark.parametrize("most", [0, 1, 5, 20, 200])
def test_no_more_than_the_quota_is_chosen_and_the_same_every_time(most: int) -> None:
    ids = [f"{i:032x}" for i in range(100)]
    pools = {"confidence": np.arange(100) < 30, "ood": np.arange(100) >= 98, "disagreement": np.zeros(100, dtype=bool)}
    found = choose(ids, pools, most, 0.2)
    assert len(found) <= most
    assert found == choose(ids, pools, most, 0.2)
    for each in found:
        if each.reason != RANDOM:
            assert pools[each.reason][ids.index(each.prediction)]
        assert 0 < each.propensity <= 1
    if most == 20:
        counts = Counter(each.reason for each in found)
        assert counts[RANDOM] == 4, "a fifth, for the audit"
        assert counts["ood"] <= 2, "a small pool leaves its share to the others"
        assert counts["confidence"] >= 10


def test_without_any_reason_the_whole_quota_is_an_audit() -> None:
    found = choose([f"{i:032x}" for i in range(50)], {}, 10, 0.2)
    assert [each.reason for each in found] == [RANDOM] * 10
    assert {round(each.propensity, 9) for each in found} == {0.2}


def test_propensities_are_how_often_each_is_chosen() -> None:
    """Over many windows; and an estimate weighted by them is right where the plain one is not."""
    pool = np.arange(60) < 12
    value = np.where(pool, 1.0, 0.0)
    chosen, told, weighted, plain = np.zeros(60), np.zeros(60), [], []
    for window in range(1_500):
        ids = [f"{window}-{i}" for i in range(60)]
        found = choose(ids, {"confidence": pool}, 10, 0.3)
        places = {id: i for i, id in enumerate(ids)}
        rows = [places[each.prediction] for each in found]
        for each, row in zip(found, rows, strict=True):
            chosen[row] += 1
            told[row] = each.propensity
        weighted.append(sum(value[row] / each.propensity for each, row in zip(found, rows, strict=True)) / 60)
        plain.append(float(np.mean(value[rows])))
    np.testing.assert_allclose(chosen / 1_500, told, atol=0.05)
    assert np.mean(weighted) == pytest.approx(0.2, abs=0.01)
    assert np.mean(plain) > 0.5


def test_unsure_and_disagreeing_rows_are_told_from_others() -> None:
    rows = pl.DataFrame(
        {
            "_output": ["1", "0", "1", "0"],
            "_shadow_output": ["1", "1", None, "0"],
            "_proba": [[0.45, 0.55], [0.9, 0.1], None, [0.41, 0.59]],
        }
    )
    assert unsure(rows, 0.6).tolist() == [True, False, False, True]
    assert disagreeing(rows, 0.1).tolist() == [False, True, False, False]
    numbers = pl.DataFrame({"_output": [1.0, 2.0, 3.0], "_shadow_output": [1.05, 2.5, None]})
    assert disagreeing(numbers, 0.1).tolist() == [False, True, False]


def test_a_review_without_an_audit_is_refused() -> None:
    for given in ({"per_day": 0}, {"per_day": 5, "random": 0.0}):
        with pytest.raises(InvariantError, match="draw some at random"):
            ReviewRule(**given)
