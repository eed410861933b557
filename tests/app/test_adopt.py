"""A model that exists becomes the first champion: as data, checked on the rows, and never by running a pickle."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]  # without types
import lightgbm
import numpy as np
import polars as pl
import pytest
import skops.io  # type: ignore[import-untyped]  # without types
from skl2onnx import to_onnx  # type: ignore[import-untyped]  # without types
from sklearn.linear_model import (  # type: ignore[import-untyped]  # without types
    LinearRegression,
    LogisticRegression,
)

from anew.adapters.model_file import read_model_file
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.schema_inference import Roles
from anew.app.adopt import create_around
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.app.training import training_of
from anew.app.training_job import training_kit
from anew.app.watch import watched_by
from anew.app.wiring import stages
from anew.domain.errors import IntegrityError, PolicyError, SettingsError, TrainingError
from anew.domain.manifest import Manifest
from anew.loop.adopted import ADOPTED, Adopted
from anew.loop.training_order import TrainingInputs, training_job
from anew.loop.training_run import ARTIFACT, TrainingRun, run_training
from anew.ports.compute import Limits

N = 600
CHANCE = np.random.default_rng(4)
X = CHANCE.normal(size=(N, 3))
NUMBER = 3 * X[:, 1] - X[:, 0]
CLASS = (NUMBER + CHANCE.normal(scale=0.3, size=N) > 0).astype(int)
ROLES = Roles(time="at", target="y", task="regression")
KINDS = Roles(time="at", target="y", task="classification")


def rows(folder: Path, y: Any = NUMBER) -> Path:
    at = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 3, 1), "1h", eager=True).head(N)
    file = folder / "rows.parquet"
    pl.DataFrame({"c": X[:, 2], "at": at, "a": X[:, 0], "b": X[:, 1], "y": y}).write_parquet(file)
    return file


def booster(folder: Path) -> Path:
    data = lightgbm.Dataset(X, NUMBER, feature_name=["a", "b", "c"])
    lightgbm.train({"verbose": -1, "num_threads": 1}, data, 20).save_model(folder / "old.txt")
    return folder / "old.txt"


def estimator(folder: Path) -> Path:
    skops.io.dump(LogisticRegression().fit(X[:, [2, 0, 1]], CLASS), folder / "old.skops")
    return folder / "old.skops"


def graph(folder: Path) -> Path:
    model = LinearRegression().fit(X[:, [2, 0, 1]], NUMBER)
    (folder / "old.onnx").write_bytes(to_onnx(model, X[:1].astype(np.float32)).SerializeToString())
    return folder / "old.onnx"


@pytest.mark.parametrize(
    ("make", "y", "roles", "kind", "at_most"),
    [
        (booster, NUMBER, ROLES, "lightgbm", 1.0),
        (estimator, CLASS, KINDS, "skops", 0.1),
        (graph, NUMBER, ROLES, "onnx", 0.01),
    ],
    ids=["lightgbm", "skops", "onnx"],
)
def test_a_model_becomes_the_first_champion_of_a_project(
    make: Any, y: Any, roles: Roles, kind: str, at_most: float, tmp_path: Path
) -> None:
    file = make(tmp_path)
    created = create_around(tmp_path, file, rows(tmp_path, y), roles, name="old")
    settings = load(created.folder)
    stages(settings)
    adopt = settings.policy.train.adopt
    assert adopt is not None
    assert adopt.format == kind
    assert (created.folder / adopt.model).read_bytes() == file.read_bytes()
    assert created.look is not None
    assert created.look.loss < at_most
    assert "the adopted model has" in (created.folder / "anew.yaml").read_text()
    report = replay(settings, ReplayOptions(data=created.folder / "history.parquet"))
    assert report.versions["v1"].predictor.digest
    assert report.data["loss"] <= report.data["loss_never_retrained"] + 0.01


def test_the_first_run_takes_the_model_and_the_next_one_fits(tmp_path: Path) -> None:
    created = create_around(tmp_path, booster(tmp_path), rows(tmp_path), ROLES, name="old")
    settings = load(created.folder)
    how = training_of(settings, watched_by(settings))
    snapshot = tmp_path / "snapshot.parquet"
    pl.read_parquet(created.folder / "history.parquet").rename({"at": "_at", "y": "_label"}).with_columns(
        pl.col("_at").dt.replace_time_zone("UTC")
    ).write_parquet(snapshot)

    def run(id: str, previous: tuple[str, str]) -> Path:
        inputs = TrainingInputs(
            id=id, rows=snapshot, snapshot="s", kept=500, held=100, seed=1, code=settings.code, previous=previous
        )
        job = training_job(how, inputs, tmp_path / "orders", Limits(wall_s=60))
        assert (str(settings.root / "model.txt") in (job.reads or ())) is (not previous[0])
        order = TrainingRun.from_json(Path(job.arguments["run"]).read_text())
        (tmp_path / id).mkdir()
        run_training(order, tmp_path / id, training_kit(), load_pipeline)
        return tmp_path / id / ARTIFACT

    first = run("first", ("", ""))
    manifest = Manifest.from_json((first / "manifest.json").read_text())
    assert (first / "model.txt").read_bytes() == (tmp_path / "old.txt").read_bytes()
    assert manifest.params == {ADOPTED: hashlib.sha256((tmp_path / "old.txt").read_bytes()).hexdigest()}
    assert Adopted.again(manifest.params, first / "model.txt", "lightgbm") is not None
    digest = "d" * 64
    again = run("again", (digest, str(first)))
    assert (again / "model.txt").read_bytes() != (first / "model.txt").read_bytes()
    assert Manifest.from_json((again / "manifest.json").read_text()).previous == digest
    (settings.root / "model.txt").write_text("tree\nanother")
    with pytest.raises(TrainingError, match=r"has the SHA-256 .* says"):
        run("other", ("", ""))


def test_a_pickle_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    touched = tmp_path / "touched"

    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(touched),)

    for name in ("bomb.pkl", "bomb.bin"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(PolicyError, match=r"is a pickle.*skops\.io\.dump.*save_model.*--unpickle"):
            read_model_file(tmp_path / name)
        with pytest.raises(PolicyError, match="could not be written as data"):
            read_model_file(tmp_path / name, unpickle=True)
    assert not touched.exists(), "what it brought ran, and was not confined"


@pytest.mark.parametrize("dump", [joblib.dump, lambda model, file: file.write_bytes(pickle.dumps(model))])
def test_a_pickle_that_is_allowed_is_kept_as_data(dump: Any, tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, CLASS)
    dump(model, tmp_path / "old.joblib")
    found = read_model_file(tmp_path / "old.joblib", unpickle=True)
    assert (found.format, found.file) == ("skops", "model.skops")
    kept = skops.io.loads(found.data)
    assert np.array_equal(kept.predict_proba(X), model.predict_proba(X))


def test_what_is_no_model_or_does_not_fit_the_rows_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(SettingsError, match="no model that anew knows"):
        read_model_file(tmp_path / "notes.txt")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_model_file(tmp_path / "gone.txt")
    (tmp_path / "broken.txt").write_text("tree\nnonsense")
    with pytest.raises(IntegrityError, match="not a LightGBM model"):
        read_model_file(tmp_path / "broken.txt")
    data = lightgbm.Dataset(X[:, :2], NUMBER, feature_name=["a", "b"])
    lightgbm.train({"verbose": -1, "num_threads": 1}, data, 5).save_model(tmp_path / "narrow.txt")
    with pytest.raises(SettingsError, match=r"does not answer the rows .*It takes a, b\."):
        create_around(tmp_path, tmp_path / "narrow.txt", rows(tmp_path), ROLES, name="narrow")
    assert not (tmp_path / "narrow").exists()
