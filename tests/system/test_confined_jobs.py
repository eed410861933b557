"""The user's code in the jobs that measure, correct, compare and score: confined and bounded as in a training."""

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.local_compute import LocalCompute
from anew.adapters.pipeline_module import load_pipeline
from anew.app.accepted import accept
from anew.app.jobs import jobs_of
from anew.app.settings import load
from anew.app.training_job import training_kit
from anew.loop.correction_run import CorrectionRun
from anew.loop.live_effects import Jobs
from anew.loop.training import Recipe, fit
from anew.loop.training_order import asked_job
from anew.loop.trial_order import read_by
from anew.ports.compute import Job, JobState, JobStatus, Limits
from tests.app.small_project import PIPELINE, YAML, write_project

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

HOSTILE = '''
import os
import socket
import time
from pathlib import Path

import numpy


def grab():
    """Do what no such job has to do, and leave word of what came of it where the job may write."""
    project = Path(os.environ["HOME"])
    word = Path("found.txt").open("a")
    for name in ("key", "other.parquet"):
        try:
            word.write(f"read {name} {(project / name).read_text()}\\n")
        except OSError as exc:
            word.write(f"no {name} {type(exc).__name__}\\n")
    try:
        (project / "planted").write_text("x")
        word.write("wrote planted\\n")
    except OSError as exc:
        word.write(f"no planted {type(exc).__name__}\\n")
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
        word.write("made socket\\n")
    except OSError as exc:
        word.write(f"no socket {type(exc).__name__}\\n")
    word.close()
    if (project / "hoard").exists():
        numpy.zeros(1 << 29)  # 4 GiB of addresses
    if (project / "spill").exists():
        Path("spilt").write_bytes(bytes(3 << 20))
    if (project / "hang").exists():
        while True:
            pass


def features(rows):
    grab()
    return rows


def correct(rows):
    grab()
    return rows.with_columns(rows["x"].abs())
'''
FORBIDDEN = ("read key", "read other.parquet", "wrote planted", "made socket")


@dataclass
class World:
    """A project whose code grabs what it can, a version of it, and rows; `compute` runs its jobs."""

    root: Path
    jobs: Jobs
    compute: LocalCompute
    model: list[str]

    def job(self, kind: str, *, confined: str = "required", limits: Limits | None = None, name: str = "") -> Job:
        """Return one of the four jobs, as the effects ask for it; `name` tells one from another of its kind."""
        jobs, rows = self.jobs, str(self.root / "rows.parquet")
        orders: dict[str, tuple[str, Any, tuple[str, ...]]] = {
            "measure": (jobs.measure, self.trial(), (*jobs.reads, *read_by(self.trial()))),
            "correct": (
                jobs.correct,
                json.loads(CorrectionRun(project=jobs.project, rows=Path(rows), code="", tables=()).to_json()),
                (*jobs.reads, rows),
            ),
            "compare": (
                jobs.compare,
                {"rows": rows, "models": [self.model[1:], self.model[1:]], "window_s": 86400.0},
                (rows, self.model[2]),
            ),
            "score": (
                jobs.score,
                {
                    "rows": rows,
                    "models": {"v1": self.model[1:]},
                    "windows": [{"id": "w", "rows": 400, "versions": ["v1"]}],
                },
                (rows, self.model[2]),
            ),
        }
        entry, order, reads = orders[kind]
        how = replace(jobs.training, confined=confined)
        bounds = limits or jobs.limits
        id = f"{kind}-{confined}-{name}"
        return asked_job(how, id, entry, json.dumps(order), reads, jobs.orders, bounds)

    def trial(self) -> dict[str, Any]:
        """Return the order to measure the version."""
        none = ["", "", ""]
        return {
            "project": str(self.jobs.project),
            "snapshot": str(self.root / "rows.parquet"),
            "trained_rows": 300,
            "candidate": self.model,
            "champion": none,
            "anchor": none,
            "recorded": "",
            "past": "",
        }

    def done(self, jobs: list[Job]) -> list[JobStatus]:
        """Run jobs side by side to their ends."""
        for job in jobs:
            self.compute.submit(job)
        deadline = time.monotonic() + 200
        while any(self.compute.poll(job.id).state is JobState.RUNNING for job in jobs):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return [self.compute.poll(job.id) for job in jobs]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    policy = YAML[: YAML.index("triggers:")] + 'triggers:\n  - {rule: "x >= 0", data: corrected}\n'
    settings = load(write_project(tmp_path / "project", policy, PIPELINE + HOSTILE))
    accept(settings)
    for name in ("key", "other.parquet"):
        (settings.root / name).write_text("secret")
    monkeypatch.setenv("HOME", str(settings.root))
    monkeypatch.chdir(tmp_path)
    chance = np.random.default_rng(2)
    x, z = chance.normal(size=(2, 400))
    at = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(400)]
    rows = pl.DataFrame({"x": x, "z": z, "_at": at, "_label": (x > 0).astype(int).astype(str)})
    rows.write_parquet(tmp_path / "rows.parquet")
    recipe = Recipe(columns=settings.columns, seed=1, holdout_rows=100)
    made = fit(rows, recipe, load_pipeline(settings.pipeline), training_kit()).candidate
    (tmp_path / "model").mkdir()
    for name, data in made.files.items():
        (tmp_path / "model" / name).write_bytes(data)
    (settings.root / "planted").unlink()
    compute = LocalCompute(root=tmp_path / "jobs")
    return World(tmp_path, jobs_of(settings), compute, ["v1", made.digest, str(tmp_path / "model")])


KINDS = ("measure", "correct", "compare", "score")


@pytest.mark.fault("A9")
def test_they_read_write_and_reach_nothing_but_what_they_are_given(world: World) -> None:
    for kind, status in zip(KINDS, world.done([world.job(kind) for kind in KINDS]), strict=True):
        assert status.state is JobState.DONE, (kind, status)
        assert status.folder is not None
        told = (status.folder / "found.txt").read_text()
        assert "no key PermissionError" in told, kind
        assert not [each for each in FORBIDDEN if each in told], (kind, told)
    assert not (world.jobs.project / "planted").exists()
    for kind, status in zip(KINDS, world.done([world.job(kind, confined="none") for kind in KINDS]), strict=True):
        assert status.folder is not None, (kind, status)
        told = (status.folder / "found.txt").read_text()
        assert all(each in told for each in FORBIDDEN), f"control: unconfined, {kind} does all of it: {told}"


@pytest.mark.fault("K4")
def test_they_end_at_the_limits_of_a_training(world: World) -> None:
    (world.jobs.project / "hang").touch()
    jobs = [world.job(kind, limits=Limits(wall_s=8)) for kind in KINDS]
    jobs.append(world.job("measure", limits=Limits(cpu_s=6, wall_s=200), name="cpu"))
    for job, status in zip(jobs, world.done(jobs), strict=True):
        assert (status.state, status.reason) == (JobState.FAILED, "timeout"), (job.id, status)
        assert status.cpu_s > 0, "what it used until then is known"


@pytest.mark.fault("K4")
@pytest.mark.parametrize(
    ("does", "tight", "reason"),
    [("hoard", Limits(memory_bytes=4 << 30), "oom"), ("spill", Limits(output_bytes=1 << 20), "disk_full")],
)
def test_they_end_at_the_limits_of_memory_and_output(world: World, does: str, tight: Limits, reason: str) -> None:
    (world.jobs.project / does).touch()
    for kind, status in zip(KINDS, world.done([world.job(kind, limits=tight) for kind in KINDS]), strict=True):
        assert (status.state, status.reason) == (JobState.FAILED, reason), (kind, status)
    wide = Limits(memory_bytes=16 << 30, output_bytes=64 << 20)
    jobs = [world.job(kind, limits=wide, name="wide") for kind in KINDS]
    for job, status in zip(jobs, world.done(jobs), strict=True):
        assert status.state is JobState.DONE, f"control: within its limits {job.id} ends well: {status}"
