"""Share of strange rows in a window: found above the limit, ordinary below, nothing without a sample."""

import numpy as np
import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.domain.severity import Severity
from anew.monitor import Yardstick
from anew.monitor.ood import OOD
from tests.monitor.windows import reference_of, seen


def rows(n: int, seed: int, moved: float = 0.0, at: float = 9.0) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    frame = {name: chance.normal(size=n) for name in ("a", "b", "c")}
    strange = np.arange(n) < moved * n
    return pl.DataFrame({name: np.where(strange, values + at, values) for name, values in frame.items()})


@pytest.fixture(scope="module")
def yardstick() -> Yardstick:
    sample = rows(1000, 1)
    return Yardstick(features=reference_of(sample), sample=sample.with_columns(_held=pl.lit(False)))


@pytest.mark.parametrize(
    ("moved", "severity"), [(0.0, None), (0.1, None), (0.17, Severity.MEDIUM), (0.4, Severity.HIGH)]
)
def test_a_share_above_the_limit_is_found(yardstick: Yardstick, moved: float, severity: Severity | None) -> None:
    detector = OOD(share_above=0.15)
    evidence = detector.measure_seen(seen(rows(300, 2, moved), yardstick))
    finding = detector.judge(evidence)
    assert (finding.severity if finding else None) is severity


def test_the_model_is_made_once_for_each_version(yardstick: Yardstick) -> None:
    detector = OOD(share_above=0.15, method="isolation_forest", columns=("a", "c"))
    detector.measure_seen(seen(rows(60, 2), yardstick))
    model = yardstick.kept[detector.key]
    detector.measure_seen(seen(rows(60, 3), yardstick))
    assert yardstick.kept[detector.key] is model
    assert model[1] == ("a", "c")


def test_held_out_rows_are_no_reference() -> None:
    sample = pl.concat(
        [rows(500, 1).with_columns(_held=pl.lit(False)), rows(500, 2, 1.0).with_columns(_held=pl.lit(True))]
    )
    detector = OOD(share_above=0.15)
    window = seen(rows(100, 3, 1.0), Yardstick(features=reference_of(rows(500, 1)), sample=sample))
    assert detector.judge(detector.measure_seen(window)) is not None


def test_without_a_sample_or_enough_rows_nothing_is_measured(yardstick: Yardstick) -> None:
    detector = OOD(share_above=0.15)
    (few,) = detector.measure_seen(seen(rows(49, 2), yardstick))
    (bare,) = detector.measure_seen(seen(rows(60, 2), Yardstick(features=yardstick.features)))
    assert "50 are needed" in few.problem
    assert "sample does not do" in bare.problem
    assert detector.judge((few, bare)) is None


@pytest.mark.parametrize(
    "given", [{"share_above": 0.0}, {"share_above": 1.0}, {"share_above": 0.1, "false_share": 0.2}]
)
def test_limits_that_mean_nothing_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(InvariantError):
        OOD(**given)  # type: ignore[arg-type]  # numbers all
