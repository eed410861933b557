"""Models, their code and their rows: kept as data, loaded side by side, answering the same from memory and disk."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import LoadedPredictor, ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import IntegrityError, SchemaError
from anew.loop.training import Kit, Recipe, fit
from anew.ports.candidate import Candidate

KIT = Kit(formats=DataFormats(), loader=ModelLoader())

LIGHTGBM = """
import lightgbm
import polars as pl

def features(rows):
    return rows.select("a", "b", pl.col("c").replace_strict({"x": 0, "y": 1}, default=None, return_dtype=pl.Float64))

def train(data, params):
    kind = lightgbm.LGBMRegressor if data.y.dtype == pl.Float64 else lightgbm.LGBMClassifier
    model = kind(n_estimators=8, n_jobs=1, random_state=data.seed, deterministic=True, verbose=-1)
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
"""

SKLEARN = """
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

def features(rows):
    return rows.with_columns(pl.col("c").fill_null("none"))

def train(data, params):
    if data.y.dtype == pl.Float64:
        return HistGradientBoostingRegressor(max_iter=5, random_state=data.seed).fit(
            data.x.select("a", "b").to_numpy(), data.y.to_numpy())
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    parts = ColumnTransformer([("n", numbers, ["a", "b"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["c"])])
    return make_pipeline(parts, LogisticRegression(max_iter=200)).fit(data.x, data.y.to_numpy())
"""

SKLEARN_NUMBERS = SKLEARN.replace('rows.with_columns(pl.col("c").fill_null("none"))', 'rows.select("a", "b")')

NUMBERS_ONLY = "\n".join(
    line for line in LIGHTGBM.splitlines() if "features" not in line and "replace_strict" not in line
)


def columns(task: Task) -> Columns:
    classes: Mapping[Task, tuple[int | str, ...]] = {
        Task.BINARY: (0, 1),
        Task.MULTICLASS: ("high", "low", "mid", "never"),
        Task.REGRESSION: (),
    }
    return Columns(
        time="at",
        target="y",
        task=task,
        classes=classes[task],
        features=(
            Column(name="a", kind=ColumnKind.NUMBER),
            Column(name="c", kind=ColumnKind.CATEGORY),
            Column(name="b", kind=ColumnKind.NUMBER),
        ),
    )


def rows(task: Task, n: int = 400) -> pl.DataFrame:
    chance = np.random.default_rng(7)
    a, b, c = chance.normal(size=n), chance.normal(size=n), chance.choice(["x", "y", "z"], n)
    score = a + b * (c == "x") + 0.3 * chance.normal(size=n)
    label = {
        Task.BINARY: pl.Series("_label", (score > 0).astype(int)),
        Task.MULTICLASS: pl.Series("_label", np.where(score > 1, "high", np.where(score < -1, "low", "mid"))),
        Task.REGRESSION: pl.Series("_label", score * 10),
    }[task]
    frame = pl.DataFrame({"a": a, "b": b, "c": c}).with_columns(label)
    gaps = pl.int_range(n) % 11 == 0
    return frame.with_columns(
        pl.when(gaps).then(None).otherwise("b").alias("b"),
        pl.when(gaps).then(None).otherwise("c").alias("c"),
        pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2025, 1, 1), "1h", time_zone="UTC", eager=True)
        .head(n)
        .alias("_at"),
    )


def trained(folder: Path, source: str, task: Task, n: int = 400) -> tuple[Candidate, LoadedPredictor, LoadedPredictor]:
    """Return a candidate, its predictor in memory, and its predictor loaded back from files."""
    path = folder / "pipeline.py"
    path.write_text(source)
    pipeline = load_pipeline(path)
    candidate = fit(rows(task, n), Recipe(columns=columns(task), seed=3, holdout_rows=50), pipeline, KIT).candidate
    artifact = folder / candidate.digest
    artifact.mkdir()
    for name, data in candidate.files.items():
        (artifact / name).write_bytes(data)
    loader = ModelLoader()
    return (
        candidate,
        loader.assemble(candidate, pipeline=pipeline, version="v1"),
        loader.load(artifact, version="v1", digest=candidate.digest),
    )


CASES = [
    pytest.param(source, task, id=f"{name}-{task}")
    for name, source in (("lightgbm", LIGHTGBM), ("numbers", NUMBERS_ONLY), ("sklearn", SKLEARN))
    for task in Task
    if not (source is SKLEARN and task is Task.REGRESSION)
] + [pytest.param(SKLEARN_NUMBERS, Task.REGRESSION, id="sklearn-regression")]


@pytest.mark.parametrize(("source", "task"), CASES)
def test_memory_and_disk_answer_the_same_bit_for_bit(tmp_path: Path, source: str, task: Task) -> None:
    _, memory, disk = trained(tmp_path, source, task)
    frame = rows(task)
    mine, theirs = memory.predict(frame), disk.predict(frame)
    assert mine.output.equals(theirs.output)
    assert mine.output.len() == frame.height
    if task.classifies:
        assert mine.proba is not None
        assert theirs.proba is not None
        assert np.array_equal(mine.proba, theirs.proba)
        assert mine.proba.shape == (frame.height, len(columns(task).classes))
    else:
        assert mine.proba is None


@pytest.mark.parametrize(("source", "task"), CASES)
def test_one_row_at_a_time_answers_what_the_frame_does(tmp_path: Path, source: str, task: Task) -> None:
    _, predictor, _ = trained(tmp_path, source, task)
    frame = rows(task).head(30)
    whole = predictor.predict(frame)
    one_by_one = [predictor.answer([row])[0] for row in frame.select("a", "b", "c").to_dicts()]
    at_once = predictor.answer(frame.select("a", "b", "c").to_dicts())
    if not task.classifies:
        assert [answer.output for answer in one_by_one] == pytest.approx(whole.output.to_list(), rel=1e-12)
        assert [answer.output for answer in at_once] == whole.output.to_list()
        return
    assert whole.proba is not None
    assert [answer.output for answer in one_by_one] == whole.output.to_list()
    assert [answer.output for answer in at_once] == whole.output.to_list()
    probabilities = [answer.proba for answer in one_by_one]
    assert np.allclose(np.array(probabilities), whole.proba, rtol=1e-12, atol=0)
    assert all(type(answer.output) is type(columns(task).classes[0]) for answer in one_by_one)


def test_a_class_that_was_never_seen_has_probability_zero(tmp_path: Path) -> None:
    _, predictor, _ = trained(tmp_path, LIGHTGBM, Task.MULTICLASS)
    proba = predictor.predict(rows(Task.MULTICLASS)).proba
    assert proba is not None
    assert (proba[:, 3] == 0).all()
    assert np.allclose(proba.sum(axis=1), 1)


def digests(folder: Path) -> list[str]:
    found = []
    for name, source in (("a", LIGHTGBM), ("b", SKLEARN)):
        (folder / name).mkdir(parents=True)
        found.append(trained(folder / name, source, Task.BINARY)[0].digest)
    return found


@pytest.mark.system
def test_training_twice_gives_one_digest_in_this_process_and_in_another(tmp_path: Path) -> None:
    first = digests(tmp_path / "first")
    script = (
        f"import sys, pathlib; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_model_loader as t; "
        "print(*t.digests(pathlib.Path(sys.argv[1])))"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "other")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "17"},
    )
    assert first == digests(tmp_path / "second") == ran.stdout.split()


def test_another_seed_or_row_gives_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.py"
    path.write_text(LIGHTGBM)
    pipeline, frame = load_pipeline(path), rows(Task.BINARY)
    recipe = Recipe(columns=columns(Task.BINARY), seed=1)
    found = {
        fit(frame, recipe, pipeline, KIT).candidate.digest,
        fit(frame, dataclasses.replace(recipe, seed=2), pipeline, KIT).candidate.digest,
        fit(frame.head(399), recipe, pipeline, KIT).candidate.digest,
    }
    assert len(found) == 3


def test_two_versions_with_different_code_answer_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, _, plain = trained(tmp_path / "a", LIGHTGBM, Task.REGRESSION)
    doubled = LIGHTGBM.replace('rows.select("a"', 'rows.select(pl.col("a") * 2')
    _, _, other = trained(tmp_path / "b", doubled, Task.REGRESSION)
    frame, before = rows(Task.REGRESSION), set(sys.path)
    first = plain.predict(frame).output
    assert not first.equals(other.predict(frame.with_columns(pl.col("a") + 5)).output)
    assert plain.predict(frame).output.equals(first)
    assert set(sys.path) == before
    assert not list(tmp_path.rglob("__pycache__"))


def test_nonsense_is_no_answer(tmp_path: Path) -> None:
    _, predictor, _ = trained(tmp_path, LIGHTGBM, Task.BINARY)

    def broken(values: object) -> LoadedPredictor:
        class Broken:
            def predict(self, _: object, **__: object) -> object:
                return values

        return dataclasses.replace(predictor, model=Broken())

    row = {"a": 1.0, "b": None, "c": "x"}
    for values in ([float("nan")], [0.5, 0.5], [[0.1, 0.2, 0.7]], [1.5], [float("inf")]):
        with pytest.raises(SchemaError):
            broken(values).answer([row])
    assert broken([0.25]).answer([row])[0].proba == (0.75, 0.25)


def test_an_answer_that_no_mean_can_be_taken_of_is_none(tmp_path: Path) -> None:
    _, predictor, _ = trained(tmp_path, LIGHTGBM, Task.REGRESSION)

    class Far:
        def predict(self, _: object, **__: object) -> object:
            return [1e100, -1e308]

    row = {"a": 1.0, "b": None, "c": "x"}
    with pytest.raises(SchemaError, match=r"answer to 1 of 2 rows is no number from -1e\+100 to 1e\+100"):
        dataclasses.replace(predictor, model=Far(), served=None).answer([row, row])


def test_rows_without_a_declared_column_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    _, predictor, _ = trained(tmp_path, LIGHTGBM, Task.BINARY)
    with pytest.raises(SchemaError, match=r"\['c'\] are missing"):
        predictor.predict(rows(Task.BINARY).drop("c"))
    with pytest.raises(SchemaError, match="'a' is declared as a number and holds String"):
        predictor.predict(rows(Task.BINARY).with_columns(pl.col("a").cast(pl.String)))
    assert predictor.predict(rows(Task.BINARY).head(0)).output.len() == 0


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("manifest.json", b"{}", SchemaError),
        ("manifest.json", b'{"schema": 99}', SchemaError),
        ("model.txt", b"tree\nnot a model", IntegrityError),
        ("model.txt", b"\xff\xfe", IntegrityError),
        ("pipeline.py", b"import nothing_of_this_name", SchemaError),
        ("pipeline.py", b"def features(rows): return rows.head(0)\ndef train(data, params): ...", SchemaError),
    ],
)
def test_an_artifact_that_cannot_answer_is_not_loaded(
    tmp_path: Path, name: str, content: bytes, error: type[Exception]
) -> None:
    candidate, _, _ = trained(tmp_path, LIGHTGBM, Task.BINARY)
    (tmp_path / candidate.digest / name).write_bytes(content)
    with pytest.raises(error):
        ModelLoader().load(tmp_path / candidate.digest, version="v1", digest=candidate.digest)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    candidate, _, _ = trained(tmp_path, LIGHTGBM, Task.BINARY)
    (tmp_path / candidate.digest / "model.txt").unlink()
    with pytest.raises(IntegrityError, match=r"model\.txt"):
        ModelLoader().load(tmp_path / candidate.digest, version="v1", digest=candidate.digest)


VECTORS = Columns(
    time="at",
    target="y",
    task=Task.BINARY,
    classes=(0, 1),
    features=(
        Column(name="e", kind=ColumnKind.VECTOR, width=3),
        Column(name="c", kind=ColumnKind.CATEGORY),
        Column(name="a", kind=ColumnKind.NUMBER),
    ),
)
NORMS = LIGHTGBM.replace(
    'rows.select("a", "b", pl.col("c").replace_strict({"x": 0, "y": 1}, default=None, return_dtype=pl.Float64))',
    'rows.select("e", norm=pl.col("e").arr.eval(pl.element() ** 2, as_list=True).list.sum())',
)
PLAIN = "\n".join(line for line in LIGHTGBM.splitlines() if "features" not in line and "rows.select" not in line)


@pytest.mark.parametrize(
    ("source", "inputs"), [(PLAIN, ("e.0", "e.1", "e.2", "a")), (NORMS, ("e.0", "e.1", "e.2", "norm"))]
)
def test_vectors_reach_the_model_and_are_answered_alike_alone_and_together(
    tmp_path: Path, source: str, inputs: tuple[str, ...]
) -> None:
    (tmp_path / "pipeline.py").write_text(source)
    chance = np.random.default_rng(4)
    e = chance.normal(size=(200, 3))
    frame = pl.DataFrame(
        {
            "_at": pl.Series(range(200)).cast(pl.Datetime("us", "UTC")),
            "_label": (np.square(e).sum(axis=1) > 2.4).astype(int),
            "e": pl.Series(e, dtype=pl.Array(pl.Float64, 3)),
            "c": ["x", "y"] * 100,
            "a": chance.normal(size=200),
        }
    )
    pipeline = load_pipeline(tmp_path / "pipeline.py")
    candidate = fit(frame, Recipe(columns=VECTORS, seed=1, sample_rows=50, traits=True), pipeline, KIT).candidate
    assert candidate.manifest.inputs == inputs
    predictor = KIT.loader.assemble(candidate, pipeline=pipeline, version="v1")
    said = predictor.predict(frame).proba
    assert said is not None
    rows = [
        row | {"e": None if row["e"] is None else tuple(row["e"])} for row in frame.select("e", "c", "a").to_dicts()
    ]
    assert [each.proba for each in predictor.answer(rows)] == [tuple(row) for row in said.tolist()]
    assert predictor.answer(rows[:1])[0].proba == tuple(said[0].tolist())
    assert len(predictor.answer([{"e": None, "c": None, "a": None}])) == 1


@pytest.mark.fault("R9")
@pytest.mark.parametrize("place", ["at the top", "in features"])
def test_a_version_whose_code_needs_what_is_not_there_is_refused_when_it_is_loaded(tmp_path: Path, place: str) -> None:
    candidate, _, disk = trained(tmp_path, LIGHTGBM, Task.REGRESSION, n=200)
    assert disk.answer([{"a": 1.0, "b": 2.0, "c": "x"}]), "as it was trained it answers"
    file = tmp_path / candidate.digest / "pipeline.py"
    needed = "import a_package_that_is_not_here"
    source = (
        f"{needed}\n{LIGHTGBM}" if place == "at the top" else LIGHTGBM.replace("(rows):\n", f"(rows):\n    {needed}\n")
    )
    assert needed in source
    file.write_text(source)
    with pytest.raises(SchemaError, match="a_package_that_is_not_here"):
        ModelLoader().load(tmp_path / candidate.digest, version="v1", digest=candidate.digest)


@pytest.mark.fault("R9")
def test_control_a_version_that_asks_for_what_is_there_is_loaded_and_answers(tmp_path: Path) -> None:
    candidate, _, _ = trained(tmp_path, LIGHTGBM, Task.REGRESSION, n=200)
    (tmp_path / candidate.digest / "pipeline.py").write_text(f"import colorsys\n{LIGHTGBM}")
    loaded = ModelLoader().load(tmp_path / candidate.digest, version="v1", digest=candidate.digest)
    assert loaded.answer([{"a": 1.0, "b": 2.0, "c": "x"}])


@pytest.mark.fault("R9")
def test_planted_a_loader_that_tries_nothing_hears_of_it_from_the_first_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, _, _ = trained(tmp_path, LIGHTGBM, Task.REGRESSION, n=200)
    needed = "import a_package_that_is_not_here"
    source = LIGHTGBM.replace("(rows):\n", f"(rows):\n    {needed}\n")
    (tmp_path / candidate.digest / "pipeline.py").write_text(source)
    monkeypatch.setattr(ModelLoader, "_warm", staticmethod(lambda predictor: predictor))
    loaded = ModelLoader().load(tmp_path / candidate.digest, version="v1", digest=candidate.digest)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_here"):
        loaded.answer([{"a": 1.0, "b": 2.0, "c": "x"}])
