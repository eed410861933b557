"""Files of rows answered as the gateway would."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app import score
from anew.app.score import score_file
from anew.cli.data import main
from anew.domain.errors import AnewError, ConflictError, NotFoundError, SchemaError
from tests.app.counting import Noted
from tests.system.test_shared_gateway import served_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served_project(tmp_path_factory.mktemp("scored") / "p", "fraud")


def rows_of(count: int) -> pl.DataFrame:
    rng = np.random.default_rng(2)
    return pl.DataFrame({"id": np.arange(count), "z": rng.normal(size=count), "x": rng.normal(size=count)})


def test_every_row_is_answered_in_order_whatever_the_batch(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of(250).write_parquet(tmp_path / "rows")
    whole = score_file(project, tmp_path / "rows", tmp_path / "whole")
    assert (whole.rows, whole.version, whole.columns) == (250, "fraud-v1", ("prediction", "proba_0", "proba_1"))
    monkeypatch.setattr(score, "_ROWS", 100)
    noted = Noted()
    score_file(project, tmp_path / "rows", tmp_path / "parts", version="fraud-v1", told=noted("rows"))
    assert noted.heard["rows"] == [(100, 250), (200, 250), (250, 250)]
    found, parts = (pl.read_parquet(tmp_path / name) for name in ("whole", "parts"))
    assert found.equals(parts)
    assert found["id"].to_list() == list(range(250))
    assert (found["prediction"] == (found["x"] > 0).cast(pl.Int64)).mean() > 0.9  # type: ignore[operator] # a number
    assert np.allclose(found["proba_0"] + found["proba_1"], 1)
    rows_of(0).write_parquet(tmp_path / "none")
    assert score_file(project, tmp_path / "none", tmp_path / "empty").rows == 0
    assert pl.read_parquet(tmp_path / "empty").columns == found.columns


@pytest.mark.parametrize(
    ("frame", "version", "problem", "said"),
    [
        (rows_of(3).drop("x"), "", SchemaError, "x"),
        (rows_of(3).rename({"id": "prediction"}), "", SchemaError, "already"),
        (rows_of(3), "v9", NotFoundError, "fraud-v1"),
        (None, "", NotFoundError, "no file"),
    ],
)
def test_what_cannot_be_answered_leaves_no_file(
    project: Path, tmp_path: Path, frame: pl.DataFrame | None, version: str, problem: type[AnewError], said: str
) -> None:
    if frame is not None:
        frame.write_parquet(tmp_path / "rows")
    with pytest.raises(problem, match=said):
        score_file(project, tmp_path / "rows", tmp_path / "out", version=version)
    assert {each.name for each in tmp_path.iterdir()} <= {"rows"}


def test_rows_that_the_gateway_refuses_are_counted(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = pl.DataFrame({"z": [np.nan, np.inf, 1.0, None], "x": [-np.inf, 1.0, 1.0, None]})
    strange.with_columns(id=np.nan).write_parquet(tmp_path / "rows")
    monkeypatch.setattr(score, "_ROWS", 3)
    assert score_file(project, tmp_path / "rows", tmp_path / "out").unlike == 2
    main(["score", str(project), "--data", str(tmp_path / "rows"), "--to", str(tmp_path / "again")])
    assert "2 of the rows have a NaN, an infinite number, or" in capsys.readouterr().out


def test_a_boolean_for_a_number_is_answered_as_in_training_and_counted(project: Path, tmp_path: Path) -> None:
    pl.DataFrame({"z": [0.0, 0.0, 0.0], "x": [True, False, None]}).write_parquet(tmp_path / "rows")
    assert score_file(project, tmp_path / "rows", tmp_path / "out").unlike == 2
    pl.DataFrame({"z": [0.0, 0.0, 0.0], "x": [1.0, 0.0, None]}).write_parquet(tmp_path / "numbers")
    assert score_file(project, tmp_path / "numbers", tmp_path / "same").unlike == 0
    found, same = (pl.read_parquet(tmp_path / name).drop("x") for name in ("out", "same"))
    assert found.equals(same)


def test_a_folder_that_is_not_there_is_named(project: Path, tmp_path: Path) -> None:
    rows_of(3).write_parquet(tmp_path / "rows")
    with pytest.raises(NotFoundError, match=r"there is no folder .*nowhere to write out.parquet into"):
        score_file(project, tmp_path / "rows", tmp_path / "nowhere" / "out.parquet")


def test_nothing_is_written_over(project: Path, tmp_path: Path) -> None:
    rows_of(3).write_parquet(tmp_path / "rows")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConflictError, match="there already"):
        score_file(project, tmp_path / "rows", tmp_path / "out")
    (tmp_path / "junk").write_text("no table")
    with pytest.raises(SchemaError, match="give a Parquet file"):
        score_file(project, tmp_path / "junk", tmp_path / "other")
