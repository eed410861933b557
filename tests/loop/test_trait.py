"""Traits of columns: what the model relies on, and what follows the calendar, measured with the version."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.app.yardstick import read_known
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import IntegrityError, TrainingError
from anew.loop.training import Kit, Recipe, fit
from anew.loop.trait import measure_traits
from anew.monitor import Traits
from anew.ports.predictor import Predictions

COLUMNS = Columns(
    time="at",
    target="y",
    task=Task.REGRESSION,
    features=(
        Column(name="much", kind=ColumnKind.NUMBER),
        Column(name="little", kind=ColumnKind.NUMBER),
        Column(name="none", kind=ColumnKind.NUMBER),
        Column(name="weekday", kind=ColumnKind.CATEGORY),
    ),
)
CLASSES = Columns(time="at", target="y", task=Task.BINARY, classes=(0, 1), features=COLUMNS.features)


def rows(n: int = 2000) -> pl.DataFrame:
    chance = np.random.default_rng(5)
    at = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(n)]
    return pl.DataFrame(
        {"_at": at, "weekday": [each.strftime("%a") for each in at], "_label": chance.normal(size=n)}
        | {name: chance.normal(size=n) for name in ("much", "little", "none")}
    )


def linear(frame: pl.DataFrame) -> Predictions:
    return Predictions(output=frame.select(pl.col("much") * 3 + pl.col("little")).to_series())


def test_reliance_is_each_columns_share_of_what_moves_the_answers() -> None:
    traits = measure_traits(rows(), 300, COLUMNS, linear, 7)
    assert traits.reliance["much"] == pytest.approx(0.75, abs=0.04)
    assert traits.reliance["little"] == pytest.approx(0.25, abs=0.04)
    assert traits.reliance["none"] == traits.reliance["weekday"] == 0.0
    assert sum(traits.reliance.values()) == pytest.approx(1.0)
    assert traits.rows == 256
    assert traits == measure_traits(rows(), 300, COLUMNS, linear, 7)
    assert traits != measure_traits(rows(), 300, COLUMNS, linear, 8)


def test_classes_are_compared_by_probability_or_else_by_what_is_said() -> None:
    def proba(frame: pl.DataFrame) -> Predictions:
        chance = 1 / (1 + np.exp(-frame.get_column("much").to_numpy()))
        output = pl.Series((chance > 0.5).astype(int))
        return Predictions(output=output, proba=np.stack((1 - chance, chance), axis=1))

    def said(frame: pl.DataFrame) -> Predictions:
        return Predictions(output=frame.select((pl.col("little") > 0).cast(pl.Int64)).to_series())

    assert measure_traits(rows(), 0, CLASSES, proba, 7).reliance["much"] == 1.0
    assert measure_traits(rows(), 0, CLASSES, said, 7).reliance["little"] == 1.0


def test_the_calendar_is_recognised_from_the_training_rows() -> None:
    assert measure_traits(rows(), 0, COLUMNS, linear, 7).calendar == {"weekday": "the day of the week"}
    assert measure_traits(rows(12_000), 0, COLUMNS, linear, 7).calendar == {"weekday": "the day of the week"}


def test_how_alike_rows_are_is_measured_in_their_order() -> None:
    traits = measure_traits(rows(), 0, COLUMNS, linear, 7)
    assert set(traits.inertia) == set(COLUMNS.names)
    assert traits.inertia["much"] < 1.2
    assert traits.inertia["weekday"] > 10  # a day of hours is of one weekday


def test_a_model_that_cannot_answer_or_that_nothing_moves_is_no_failure() -> None:
    def failing(frame: pl.DataFrame) -> Predictions:
        raise TrainingError("error", "not these")

    def constant(frame: pl.DataFrame) -> Predictions:
        return Predictions(output=pl.Series([1.0] * frame.height))

    def huge(frame: pl.DataFrame) -> Predictions:
        return Predictions(output=frame.get_column("much").sign() * 1.7e308)

    for answer in (failing, huge):
        assert measure_traits(rows(), 0, COLUMNS, answer, 7).reliance == {}
    assert set(measure_traits(rows(), 0, COLUMNS, constant, 7).reliance.values()) == {0.0}
    assert measure_traits(rows(3), 1, COLUMNS, linear, 7).rows == 3


def test_many_columns_are_measured_on_fewer_rows() -> None:
    wide = Columns(
        time="at", target="y", task=Task.REGRESSION,
        features=tuple(Column(name=f"x{i}", kind=ColumnKind.NUMBER) for i in range(400)),
    )  # fmt: skip
    frame = rows(1000).with_columns(pl.Series(f"x{i}", np.arange(1000.0)) for i in range(400))
    asked = []

    def counting(given: pl.DataFrame) -> Predictions:
        asked.append(given.height)
        return Predictions(output=given.get_column("x0"))

    assert measure_traits(frame, 0, wide, counting, 7).rows == 50
    assert sum(asked) <= 20_000 + 50


SOURCE = """
from sklearn.linear_model import LinearRegression

def features(rows):
    return rows.select("much", "little")

def train(data, params):
    return LinearRegression().fit(data.x.to_numpy(), data.x.to_numpy()[:, 0])
"""


def test_a_version_keeps_its_traits_where_a_detector_wants_them(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(SOURCE)
    kit = Kit(formats=DataFormats(), loader=ModelLoader())
    pipeline = load_pipeline(tmp_path / "pipeline.py")
    recipe = Recipe(columns=COLUMNS, seed=4, holdout_rows=300, traits=True)
    fitted = fit(rows(), recipe, pipeline, kit)
    assert fitted.yardstick.traits is not None
    assert fitted.yardstick.traits.reliance["much"] > 0.99
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name, data in fitted.candidate.files.items():
        (folder / name).write_bytes(data)
    assert read_known(folder).yardstick.traits == fitted.yardstick.traits
    (folder / "traits.json").write_text("{}")
    with pytest.raises(IntegrityError):
        read_known(folder)
    (folder / "traits.json").unlink()
    assert read_known(folder).yardstick.traits is None  # as versions are that were stored before
    without = fit(rows(), Recipe(columns=COLUMNS, seed=4, holdout_rows=300), pipeline, kit)
    assert "traits.json" not in without.candidate.files
    assert isinstance(fitted.yardstick.traits, Traits)
