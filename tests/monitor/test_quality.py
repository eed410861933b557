"""The data-quality contract: a broken feed is told from drift."""

import numpy as np
import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.monitor import Yardstick
from anew.monitor.quality import Quality
from tests.monitor.windows import reference_of, seen

pytestmark = pytest.mark.fault("V9")


def trained(n: int = 2000) -> pl.DataFrame:
    chance = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "sensor": chance.normal(20, 5, n),
            "pressure": chance.normal(1013, 9, n),
            "month": chance.integers(1, 13, n).astype(float),
            "rare": [None if chance.random() < 0.4 else float(chance.normal()) for _ in range(n)],
            "country": chance.choice(["de", "fr", "it"], n),
        },
        strict=False,
    )


def found(rows: pl.DataFrame, contract: Quality | None = None) -> str:
    contract = contract or Quality()
    finding = contract.judge(contract.measure_seen(seen(rows, Yardstick(features=reference_of(trained())))))
    return finding.message if finding else ""


def day() -> pl.DataFrame:
    return trained().slice(100, 200).with_columns(month=pl.lit(3.0))


def test_an_ordinary_day_is_no_incident_though_a_month_stands_still() -> None:
    assert found(day()) == ""


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (pl.lit(None, dtype=pl.Float64).alias("sensor"), "broken data: nulls in sensor 100% (at most 50%)"),
        (pl.lit(7.25).alias("sensor"), "broken data: one value in sensor 100% (at most 50%)"),
        (pl.lit("??").alias("country"), "broken data: new levels in country 100% (at most 50%)"),
    ],
)
def test_a_broken_feed_is_an_incident(broken: pl.Expr, said: str) -> None:
    assert found(day().with_columns(broken)) == said


def test_a_surge_below_the_limit_is_drift_and_not_an_incident() -> None:
    some = pl.int_range(pl.len()) % 10 < 4
    rows = day().with_columns(
        sensor=pl.when(~some).then("sensor"), country=pl.when(some).then(pl.lit("es")).otherwise("country")
    )
    assert found(rows) == ""


def test_a_column_that_often_was_null_may_be_null() -> None:
    assert found(day().with_columns(rare=pl.lit(None, dtype=pl.Float64))) == ""


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (pl.col("sensor") * 1.8 + 32, "sensor in Fahrenheit for Celsius"),
        (pl.col("sensor") + 273.15, "sensor in Kelvin for Celsius"),
        (pl.col("sensor") * 1000, "sensor in a thousand times"),
        (pl.col("pressure") / 100, "pressure in a hundredth"),
    ],
)
def test_a_column_in_another_unit_is_an_incident_that_names_the_unit(broken: pl.Expr, said: str) -> None:
    assert said in found(day().with_columns(broken))
    assert found(day().with_columns(broken), Quality(units=False)) == "", "the negative control: nothing else sees it"


def test_a_unit_is_told_though_a_season_lies_between_the_window_and_training() -> None:
    winter = trained().sort("sensor").head(1500)
    assert found(winter) == ""
    assert "sensor in Fahrenheit for Celsius" in found(winter.with_columns(pl.col("sensor") * 1.8 + 32))
    coldest = winter.head(800).with_columns(pl.col("sensor") * 1000)
    assert "sensor in a thousand times" in found(coldest)


def test_two_columns_that_hold_each_other_s_values_are_an_incident() -> None:
    broken = day().rename({"sensor": "pressure", "pressure": "sensor"}).select(trained().columns)
    assert "sensor and pressure swapped" in found(broken)
    assert found(broken, Quality(swaps=False)) == ""


@pytest.mark.parametrize(
    "world",
    [
        pl.col("sensor") * 1.6,
        pl.col("sensor") * 1.8,
        pl.col("sensor") + 15,
        pl.col("sensor") * 3,
        pl.col("pressure") + 60,
        pl.col("pressure") * 1.2,
    ],
)
def test_a_world_that_changed_is_no_broken_feed(world: pl.Expr) -> None:
    assert found(day().with_columns(world)) == ""


def test_a_small_sample_of_the_same_world_is_no_broken_feed() -> None:
    for start in range(0, 1900, 60):
        assert found(trained().slice(start, 60)) == ""


def test_declared_ranges_hold() -> None:
    contract = Quality(ranges={"sensor": (-50.0, 60.0)})
    assert found(day(), contract) == ""
    assert "outside the range of sensor 100%" in found(day().with_columns(pl.col("sensor") * 1000), contract)


def test_too_few_rows_are_no_evidence() -> None:
    (evidence,) = Quality().measure_seen(seen(day().head(49), Yardstick(features=reference_of(trained()))))
    assert "49 rows, 50 are needed" in evidence.problem
    assert Quality().judge((evidence,)) is None


@pytest.mark.parametrize("given", [{"nulls_at_most": 1.0}, {"at_least_rows": 0}, {"ranges": {"x": (2.0, 1.0)}}])
def test_a_contract_that_nothing_could_break_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvariantError):
        Quality(**given)  # type: ignore[arg-type]  # its fields
