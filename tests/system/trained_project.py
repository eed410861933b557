"""A project whose first version was trained by a real job, and is on record; no loop runs."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.local_compute import LocalCompute
from anew.adapters.local_snapshot import LocalSnapshotStore
from anew.adapters.signing import Signer
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.adapters.table_file import labelled_rows
from anew.app.settings import Settings, load
from anew.app.training import limits_of, training_of
from anew.app.watch import watched_by
from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained
from anew.loop.training_order import TrainingInputs, training_job
from anew.loop.training_run import ARTIFACT, read_outcome
from anew.ports.compute import JobState
from tests.app.small_project import YAML, write_project

__all__ = ["LIGHTGBM", "project", "record", "trained"]

LIGHTGBM = """import lightgbm

def search_space(trial):
    return {"num_leaves": trial.suggest_int("num_leaves", 3, 15)}

def train(data, params):
    return lightgbm.LGBMClassifier(n_estimators=10, random_state=data.seed, n_jobs=1, verbose=-1, subsample=0.7,
        subsample_freq=1, colsample_bytree=0.5, **params).fit(data.x.to_numpy(), data.y.to_numpy())
"""


def project(folder: Path, pipeline: str, yaml: str = YAML) -> tuple[Settings, pl.DataFrame]:
    settings = load(write_project(folder, yaml, pipeline))
    settings.state.mkdir()
    chance = np.random.default_rng(0)
    x, z = chance.normal(size=(2, 600))
    at = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2025, 1, 1), "1h", time_zone="UTC", eager=True).head(
        600
    )
    frame = pl.DataFrame({"at": at.head(600), "y": (x + chance.normal(size=600) > 0).astype(int), "x": x, "z": z})
    return settings, labelled_rows(frame, settings.columns, "rows")


def trained(settings: Settings, rows: pl.DataFrame, older: bool = False) -> CandidateTrained:
    """Train v1 as the loop does, and record it; `older` has it say that it was trained with an older LightGBM."""
    snapshots = LocalSnapshotStore(settings.state / "snapshots")
    digest = snapshots.put(rows)
    inputs = TrainingInputs(
        id="j1", rows=snapshots.get(digest), snapshot=digest, kept=500, held=100, seed=5, code=settings.code
    )
    compute = LocalCompute(root=settings.state / "jobs")
    how = training_of(settings, watched_by(settings))
    compute.submit(training_job(how, inputs, settings.state / "orders", limits_of(settings)))
    while (status := compute.poll("j1")).state is JobState.RUNNING:
        time.sleep(0.05)
    assert status.folder is not None, status
    if older:
        _pretend_older(status.folder / ARTIFACT / "environment.txt")
    signer = Signer.load_or_create(settings.state / "keys")
    store = LocalArtifactStore(root=settings.state / "models", verifier=signer.verifier, signer=signer)
    made = store.put(status.folder / ARTIFACT)
    assert older or made == read_outcome(status.folder).digest
    told = {"version": "v1", "champion": "", "digest": made, "snapshot": digest, "rows": 500, "compute_s": 1.0}
    fact = CandidateTrained(model=settings.model, at=rows["_at"][-1], **told).caused_by("snapshot")  # type: ignore[arg-type]  # of several types
    record(settings, [fact])
    return fact


def record(settings: Settings, facts: Sequence[Fact]) -> None:
    """Append facts to the project's record."""
    clock, database = SystemClock(), Database(settings.state / "anew.db")
    lease = SQLLease(database, clock=clock)
    grant = lease.acquire("test", 60)
    assert grant is not None
    SQLEventLog(database, clock=clock).append(facts, grant=grant)
    lease.release(grant)
    database.close()


def _pretend_older(file: Path) -> None:
    lines = ["lightgbm==0.0.1" if line.startswith("lightgbm==") else line for line in file.read_text().splitlines()]
    file.write_text("".join(f"{line}\n" for line in lines))
