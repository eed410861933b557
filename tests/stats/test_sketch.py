"""Quantile sketches: as near as they promise, whole after any merges, and named when their library is missing."""

import sys

import numpy as np
import pytest

from anew.domain.errors import InvariantError, MissingExtraError
from anew.stats.sketch import QuantileSketch

SHARES = (0.01, 0.25, 0.5, 0.75, 0.99)


def sketched(values: np.ndarray) -> QuantileSketch:
    sketch = QuantileSketch()
    sketch.add(values)
    return sketch


@pytest.mark.parametrize("parts", [1, 7])
def test_ranks_are_as_near_as_promised_after_any_merges(parts: int) -> None:
    values = np.random.default_rng(1).lognormal(sigma=3, size=70_000)
    whole = QuantileSketch()
    for part in np.array_split(values, parts):
        whole.merge(sketched(part))
    found = whole.quantiles(SHARES)
    assert found is not None
    ranks = [float((values <= each).mean()) for each in found]
    assert ranks == pytest.approx(SHARES, abs=0.03)
    assert whole.n == 70_000
    assert len(whole.to_bytes()) < 6000


def test_what_is_no_finite_number_is_left_out() -> None:
    sketch = sketched(np.array([1.0, np.nan, np.inf, -np.inf, 2.0, 3.0]))
    assert (sketch.n, sketch.quantiles([0.5])) == (3, (2.0,))
    assert QuantileSketch().quantiles([0.5]) is None


def test_bytes_come_back_and_others_are_refused() -> None:
    sketch = sketched(np.arange(1000.0))
    assert QuantileSketch(sketch.to_bytes()).quantiles(SHARES) == sketch.quantiles(SHARES)
    with pytest.raises(InvariantError, match="no sketch"):
        QuantileSketch(b"nonsense")


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketches", None)
    with pytest.raises(MissingExtraError, match="sketches"):
        QuantileSketch()
