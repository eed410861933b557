"""Spans that are chosen while a stream is replayed: short ones where the world changes, long ones where it does not."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.domain.facts import CandidateTrained, SnapshotTaken, SpanFitted, SpansCompared, TrainingPlanned
from anew.loop.replay import ReplayReport
from tests.app.small_project import PIPELINE, YAML, write_project

DAYS, PER_DAY = 80, 60
START = datetime(2024, 1, 1)  # noqa: DTZ001  a file without a zone

AUTO = YAML.replace("span: 10d", "span: auto").replace("- {psi: {above: 0.5}, for: 2 windows}", "- {every: 5d}")
# A pace at which sixty rows a day can judge a challenger, so that one makes room for the next.
AUTO += "rollout: {patience: 3d, shadow: {margin: 0.05}, canary: [0.5]}\n"


def stream(folder: Path, *, turns: int) -> Path:
    """Write a stream whose rule turns round every so many days; with 0 it never does."""
    chance = np.random.default_rng(5)
    n = DAYS * PER_DAY
    x, z = chance.normal(size=(2, n))
    angle = (np.arange(n) // (turns * PER_DAY)) * 2.0 if turns else np.zeros(n)
    y = (np.cos(angle) * x + np.sin(angle) * z + chance.normal(scale=0.3, size=n) > 0).astype(int)
    at = [START + timedelta(days=i / PER_DAY) for i in range(n)]
    path = folder / "stream.parquet"
    pl.DataFrame({"at": at, "x": x, "z": z, "y": y}).write_parquet(path)
    return path


LINEAR = """from sklearn.linear_model import LogisticRegression


def train(data, params):
    return LogisticRegression().fit(data.x.to_numpy(), data.y.to_numpy())
"""


def replayed(folder: Path, *, turns: int, yaml: str = AUTO, pipeline: str = PIPELINE) -> ReplayReport:
    data = stream(folder, turns=turns)
    return replay(load(write_project(folder / "p", yaml, pipeline)), ReplayOptions(data=data))


def lengths(report: ReplayReport) -> list[float]:
    """Return the days of each snapshot taken after the first half."""
    taken = [fact for fact in report.facts if isinstance(fact, SnapshotTaken)]
    return [fact.span.length / timedelta(days=1) for fact in taken[len(taken) // 2 :]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changing")


@pytest.fixture(scope="module")
def changing(folder: Path) -> ReplayReport:
    return replayed(folder, turns=8)


def test_short_spans_in_a_changing_world_and_longer_ones_in_a_steady_one(
    changing: ReplayReport, tmp_path: Path
) -> None:
    steady = replayed(tmp_path, turns=0)
    assert np.median(lengths(changing)) <= 12
    assert np.median(lengths(steady)) >= 2 * np.median(lengths(changing))


def blends(report: ReplayReport) -> list[CandidateTrained]:
    """Return the candidates that are made of two models."""
    trained = [fact for fact in report.facts if isinstance(fact, CandidateTrained)]
    return [fact for fact in trained if fact.blend is not None and fact.blend.weight < 1]


def test_there_are_two_fits_at_a_retrain_and_a_reason_for_each_plan(changing: ReplayReport) -> None:
    plans = [fact for fact in changing.facts if isinstance(fact, TrainingPlanned)]
    assert changing.data["fits"] == len(plans) + len(blends(changing)) <= 2 * len(plans)
    assert len(blends(changing)) > 10
    assert not [fact for fact in changing.facts if isinstance(fact, SpanFitted)]
    assert [fact for fact in changing.facts if isinstance(fact, SpansCompared) and fact.evidence]
    assert all(plan.why_span for plan in plans)


def test_a_version_of_two_names_both_with_their_weights(changing: ReplayReport) -> None:
    for fact in blends(changing)[:3]:
        version = changing.versions[fact.version]
        assert version.alone is not None
        assert fact.blend is not None
        weights = dict(version.predictor.manifest.blend)
        assert weights == {fact.blend.alone: fact.blend.weight, fact.blend.beside: 1 - fact.blend.weight}
        assert (version.alone.digest, version.predictor.digest) == (fact.blend.alone, fact.digest)


def test_formats_that_cannot_blend_are_fitted_beside_and_only_compared(tmp_path: Path) -> None:
    report = replayed(tmp_path, turns=8, yaml=AUTO, pipeline=LINEAR)
    assert not blends(report)
    assert [fact for fact in report.facts if isinstance(fact, SpanFitted)]
    assert [fact for fact in report.facts if isinstance(fact, SpansCompared) and fact.evidence]


def test_the_same_stream_gives_the_same_plans(changing: ReplayReport, folder: Path) -> None:
    again = replay(load(folder / "p"), ReplayOptions(data=folder / "stream.parquet"))
    assert changing.facts == again.facts


def test_older_rows_are_rehearsed(tmp_path: Path) -> None:
    yaml = AUTO.replace("span: auto", "span: 5d, rehearsal: 0.25")
    report = replayed(tmp_path, turns=0, yaml=yaml)
    taken = [fact for fact in report.facts if isinstance(fact, SnapshotTaken)][3:]
    for fact in taken:
        assert fact.rehearsed == pytest.approx(0.25 * (fact.rows - fact.holdout_rows), abs=1)
        assert fact.span.length <= timedelta(days=5, minutes=24)


SEARCHED = """from pathlib import Path


def search_space(trial):
    with (Path(__file__).parent / "asked.txt").open("a") as asked:
        asked.write("asked\\n")
    return {"num_leaves": trial.suggest_int("num_leaves", 4, 8)}


"""


def test_the_model_beside_takes_what_the_search_found_for_its_candidate(tmp_path: Path) -> None:
    yaml = AUTO.replace("every: 5d", "every: 15d") + "search: {trials: 2, folds: 2}\n"
    project = write_project(tmp_path / "p", yaml, SEARCHED + PIPELINE)
    report = replay(load(project), ReplayOptions(data=stream(tmp_path, turns=0)))
    plans = [fact for fact in report.facts if isinstance(fact, TrainingPlanned)]
    assert blends(report)
    assert (project / "asked.txt").read_text().count("asked") == 2 * len(plans)
