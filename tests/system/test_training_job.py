"""A training run as a real job: from rows to a signed artifact that answers, whatever dies meanwhile."""

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.local_compute import LocalCompute
from anew.adapters.model_loader import ModelLoader
from anew.adapters.schema_inference import Roles
from anew.adapters.signing import Signer
from anew.adapters.table_file import labelled_rows
from anew.app.project_template import create_from_file
from anew.app.settings import Settings, load
from anew.app.training_job import ENTRY
from anew.domain.errors import IntegrityError
from anew.loop.training_run import TrainingRun, read_outcome
from anew.ports.compute import Job, JobState, JobStatus, Limits

pytestmark = pytest.mark.system


def project(folder: Path) -> tuple[Settings, pl.DataFrame]:
    n, chance = 2000, np.random.default_rng(2)
    x, c = chance.normal(size=n), chance.choice(["a", "b"], n)
    frame = pl.DataFrame(
        {
            "at": pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2025, 1, 1), "1h", eager=True).head(n),
            "y": np.where(x + (c == "a") + chance.normal(size=n) > 0.5, "yes", "no"),
            "x": x,
            "c": c,
        }
    )
    frame.write_parquet(folder / "s.parquet")
    roles = Roles(time="at", target="y", task="classification")
    settings = load(create_from_file(folder, folder / "s.parquet", roles).folder)
    return settings, labelled_rows(frame, settings.columns, "s.parquet")


def trained(settings: Settings, rows: pl.DataFrame, folder: Path, limits: Limits | None = None) -> JobStatus:
    snapshot = folder / "snapshot.parquet"
    rows.write_parquet(snapshot)
    run = TrainingRun(
        columns=settings.columns,
        rows=snapshot,
        pipeline=settings.pipeline,
        seed=11,
        holdout_rows=200,
        code=settings.code,
        params=settings.policy.train.params,
    )
    (folder / "run.json").write_text(run.to_json())
    compute = LocalCompute(root=folder / "jobs")
    compute.submit(Job(id="j1", entry=ENTRY, arguments={"run": str(folder / "run.json")}, limits=limits or Limits()))
    deadline = time.monotonic() + 60
    while compute.poll("j1").state is JobState.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return compute.poll("j1")


def test_rows_become_a_signed_artifact_that_answers(tmp_path: Path) -> None:
    settings, rows = project(tmp_path)
    status = trained(settings, rows, tmp_path)
    assert status.state is JobState.DONE, status
    assert status.folder is not None
    signer = Signer.load_or_create(tmp_path / "keys")
    store = LocalArtifactStore(root=tmp_path / "models", signer=signer, verifier=signer.verifier)
    digest = store.put(status.folder / "artifact")
    outcome = read_outcome(status.folder)
    assert digest == outcome.digest
    assert outcome.rows == 1800
    assert 0 < outcome.compute_s <= status.cpu_s
    predictor = ModelLoader().load(store.get(digest), version="v1", digest=digest)
    held_out = rows.tail(200)
    wrong = (predictor.predict(held_out).output != held_out["_label"]).sum()
    assert wrong < 70
    assert store.get(digest) == store.root / digest, "loading must write nothing into the artifact"


@pytest.mark.fault("R2")
def test_a_changed_artifact_is_refused_before_any_of_it_is_parsed(tmp_path: Path) -> None:
    settings, rows = project(tmp_path)
    status = trained(settings, rows, tmp_path)
    assert status.folder is not None
    signer = Signer.load_or_create(tmp_path / "keys")
    store = LocalArtifactStore(root=tmp_path / "models", signer=signer, verifier=signer.verifier)
    folder = store.root / store.put(status.folder / "artifact")
    planted, canary = folder / "pipeline.py", tmp_path / "canary"
    planted.chmod(0o600)
    planted.write_text(f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n" + planted.read_text())
    with pytest.raises(IntegrityError, match=r"pipeline\.py"):
        ModelLoader().load(store.get(folder.name), version="v1", digest=folder.name)
    assert not canary.exists()
    ModelLoader().load(folder, version="v1", digest=folder.name)
    assert canary.exists(), "control: a loader that is given the folder unverified runs what was planted"


@pytest.mark.fault("K4")
def test_a_training_that_runs_out_of_memory_or_time_says_so(tmp_path: Path) -> None:
    settings, rows = project(tmp_path)
    settings.pipeline.write_text("def train(data, params):\n    import numpy\n    return numpy.ones(1 << 32)\n")
    (tmp_path / "oom").mkdir()
    status = trained(load(settings.root), rows, tmp_path / "oom", Limits(memory_bytes=4 << 30))
    assert (status.state, status.reason) == (JobState.FAILED, "oom"), status
    settings.pipeline.write_text("def train(data, params):\n    import time\n    time.sleep(600)\n")
    (tmp_path / "slow").mkdir()
    status = trained(load(settings.root), rows, tmp_path / "slow", Limits(wall_s=6))
    assert (status.state, status.reason) == (JobState.FAILED, "timeout"), status
