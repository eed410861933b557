"""A training run as a real job: from rows to a signed artifact that answers, whatever dies meanwhile."""

import hashlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.job_record import JobRecord
from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.local_compute import LocalCompute
from anew.adapters.model_loader import ModelLoader
from anew.adapters.schema_inference import Roles
from anew.adapters.signing import Signer
from anew.adapters.table_file import labelled_rows
from anew.app.accepted import accept
from anew.app.project_template import create_from_file
from anew.app.settings import Settings, load
from anew.app.training import training_of
from anew.app.watch import watched_by
from anew.domain.errors import IntegrityError
from anew.loop.training_order import TrainingInputs, training_job
from anew.loop.training_run import read_outcome
from anew.ports.compute import Job, JobState, JobStatus, Limits

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]


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


def job(settings: Settings, rows: pl.DataFrame, folder: Path, limits: Limits | None = None) -> Job:
    folder.mkdir(exist_ok=True)
    snapshot = folder / "snapshot.parquet"
    rows.write_parquet(snapshot)
    inputs = TrainingInputs(
        id="j1",
        rows=snapshot,
        snapshot="s" * 64,
        kept=rows.height - 200,
        held=200,
        seed=11,
        code=settings.code,
    )
    how = training_of(settings, watched_by(settings))
    return training_job(how, inputs, folder / "orders", limits or Limits())


def trained(settings: Settings, rows: pl.DataFrame, folder: Path, limits: Limits | None = None) -> JobStatus:
    return ended(job(settings, rows, folder, limits), folder)


def ended(asked: Job, folder: Path) -> JobStatus:
    compute = LocalCompute(root=folder / "jobs")
    compute.submit(asked)
    deadline = time.monotonic() + 200
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


@pytest.mark.parametrize("kept", [True, False])
def test_a_pipeline_that_is_saved_while_its_training_begins_spoils_nothing(tmp_path: Path, *, kept: bool) -> None:
    settings, rows = project(tmp_path)
    accept(settings)
    asked = job(settings, rows, tmp_path)
    if not kept:  # the control: a run that reads the file itself
        order = tmp_path / "orders" / "j1.json"
        order.write_text(json.dumps(json.loads(order.read_text()) | {"source": ""}))
    edited = settings.root / ".pipeline.py.swp"
    edited.write_bytes(settings.pipeline.read_bytes() + b"\n")
    edited.rename(settings.pipeline)  # as editors save
    assert ended(asked, tmp_path).state is (JobState.DONE if kept else JobState.FAILED)
    # also what is planned from now on, for as long as the change is not taken over, and what is taken up again after
    for _ in range(2):
        job(settings, rows, tmp_path / "later")
        order, copy = (tmp_path / "later" / "orders" / f"j1.{ending}" for ending in ("json", "py"))
        assert json.loads(order.read_text())["source"] == str(copy)
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == settings.code
        accept(load(settings.root))


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


SEARCHED = """import os
import time
from pathlib import Path

import lightgbm


def features(rows):
    return rows.select("x")


def search_space(trial):
    return {"num_leaves": trial.suggest_int("num_leaves", 2, 40), "rate": trial.suggest_float("rate", 0.01, 1.0)}


def train(data, params):
    with (Path(os.environ["TMPDIR"]) / "fits").open("a") as fits:
        fits.write(f"{params} {data.x.height}\\n")
    time.sleep(0.1)
    told = {"objective": "binary", "num_threads": 1, "verbose": -1, "seed": data.seed, "deterministic": True}
    told |= {"num_leaves": params["num_leaves"], "learning_rate": params["rate"]}
    labels = (data.y == "yes").to_numpy().astype(int)
    return lightgbm.train(told, lightgbm.Dataset(data.x.to_numpy(), labels), num_boost_round=5)
"""


def searching(tmp_path: Path, name: str, fit_s: float = 0.1) -> tuple[LocalCompute, Job, Path]:
    """Return a compute, a job that searches by two processes, and the file to which each fit adds a line first."""
    folder = tmp_path / name
    folder.mkdir()
    settings, rows = project(folder)
    settings.pipeline.write_text(SEARCHED.replace("sleep(0.1)", f"sleep({fit_s})"))
    with (settings.root / "anew.yaml").open("a") as policy:
        policy.write("search: {trials: 8, folds: 2, parallel: 2}\n")
    compute = LocalCompute(root=folder / "jobs")
    return compute, job(load(settings.root), rows, folder), folder / "jobs" / "j1" / "tmp" / "fits"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.fault("K1")
@pytest.mark.fault("K5")
def test_a_search_whose_machine_goes_down_resumes_and_repeats_no_finished_trial(tmp_path: Path) -> None:
    compute, work, fits = searching(tmp_path, "whole")
    compute.submit(work)
    until(lambda: compute.poll("j1").state is not JobState.RUNNING)
    assert compute.poll("j1").state is JobState.DONE, compute.poll("j1")
    expected = (compute.root / "j1" / "results" / "outcome.json").read_text()
    record = json.loads((compute.root / "j1" / "results" / "artifact" / "search.json").read_text())
    planned = Counter(fits.read_text().splitlines())

    compute, work, fits = searching(tmp_path, "killed")
    compute.submit(work)
    until(lambda: fits.exists() and len(fits.read_text().splitlines()) >= 5)
    _kill_supervisor_of(compute.root / "j1")
    journal = (compute.root / "j1" / "results" / "search.journal").read_text()
    assert compute.poll("j1").state is JobState.UNKNOWN
    compute.submit(work)
    until(lambda: compute.poll("j1").state is not JobState.RUNNING)
    assert compute.poll("j1").state is JobState.DONE, compute.poll("j1")
    assert (compute.root / "j1" / "results" / "search.journal").read_text().startswith(journal)
    again = json.loads((compute.root / "j1" / "results" / "artifact" / "search.json").read_text())
    assert again["trials"] == record["trials"]
    outcome = json.loads((compute.root / "j1" / "results" / "outcome.json").read_text())
    assert outcome["metrics"] == json.loads(expected)["metrics"]
    repeated = Counter(fits.read_text().splitlines()) - planned
    assert sum(repeated.values()) <= 2, "at most the two fits that were under way"


def _kill_supervisor_of(folder: Path) -> None:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            said = place.read_bytes()
            if b"job_supervisor" in said and str(folder).encode() in said:
                os.kill(int(place.parent.name), signal.SIGKILL)
    record = JobRecord(folder)
    until(lambda: not record.locked())


@pytest.mark.fault("K4")
def test_a_trial_whose_process_is_killed_costs_itself(tmp_path: Path) -> None:
    compute, work, fits = searching(tmp_path, "trial", fit_s=1)
    compute.submit(work)
    until(lambda: fits.exists() and bool(fits.read_text()))
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            said = place.read_bytes()
            if b"trial_worker" in said and str(tmp_path).encode() in said:
                os.kill(int(place.parent.name), signal.SIGKILL)
                break
    until(lambda: compute.poll("j1").state is not JobState.RUNNING)
    assert compute.poll("j1").state is JobState.DONE, compute.poll("j1")
    trials = json.loads((compute.root / "j1" / "results" / "artifact" / "search.json").read_text())["trials"]
    assert [t["problem"] for t in trials if t["state"] == "failed"] == ["its process ended with exit code -9"]


@pytest.mark.fault("A8")
@pytest.mark.fault("A9")
def test_user_code_that_trains_sees_neither_held_out_rows_nor_the_project(tmp_path: Path) -> None:
    settings, rows = project(tmp_path)
    snapshot, notes = tmp_path / "snapshot.parquet", settings.root / "notes.txt"
    notes.write_text("mine")
    part = str(tmp_path / "orders" / "j1.parquet")
    tried = (
        "import json, os\nimport polars as pl\nfrom pathlib import Path\n"
        "from sklearn.linear_model import LogisticRegression\n\n"
        "def features(rows):\n    return rows.select('x')\n\n"
        "def train(data, params):\n"
        "    said = {}\n"
        f"    for name, read in (('snapshot', lambda: pl.read_parquet({str(snapshot)!r}).height),\n"
        f"                       ('notes', lambda: Path({str(notes)!r}).read_text()),\n"
        f"                       ('part', lambda: pl.read_parquet({part!r}).height)):\n"
        "        try:\n            said[name] = read()\n"
        "        except Exception as exc:\n            said[name] = type(exc).__name__\n"
        "    Path('said.json').write_text(json.dumps(said))\n"
        "    return LogisticRegression().fit(data.x.to_numpy(), data.y.to_numpy())\n"
    )
    settings.pipeline.write_text(tried)
    status = trained(load(settings.root), rows, tmp_path)
    assert status.folder is not None, status
    said = json.loads((status.folder / "said.json").read_text())
    assert said == {"snapshot": "PermissionError", "notes": "PermissionError", "part": 1800}
    with (settings.root / "anew.yaml").open("a") as policy:
        policy.write("train: {sandbox: none}\n")
    (tmp_path / "open").mkdir()
    status = trained(load(settings.root), rows, tmp_path / "open")
    assert status.folder is not None, status
    said = json.loads((status.folder / "said.json").read_text())
    assert (said["snapshot"], said["notes"]) == (2000, "mine"), "control: nothing but the sandbox keeps them away"
