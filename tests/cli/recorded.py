"""A project with a record: what status, explain and the commands read."""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.process_table import process_started
from anew.adapters.signing import Signer, Verifier
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.settings import load
from anew.app.wiring import stages
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    RetrainCommanded,
    SnapshotTaken,
    Ticked,
    TrafficApplied,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.loop.engine import Engine
from anew.ports.traffic import WorkerStatus
from tests.app.small_project import YAML, write_project

__all__ = ["AT", "record", "report_worker", "write_record"]

AT = datetime(2024, 1, 1, tzinfo=UTC)


def write_record(folder: Path, yaml: str = YAML) -> Path:
    """Write a project whose first champion was trained, accepted and promoted; no loop is running."""
    project = write_project(folder, yaml)
    settings = load(project)
    settings.state.mkdir()
    Signer.load_or_create(settings.state / "keys")
    clock = SystemClock()
    database = Database(settings.state / "anew.db")
    try:
        lease = SQLLease(database, clock=clock)
        grant = lease.acquire("test", 60)
        assert grant is not None
        engine = Engine(stages(settings), SQLEventLog(database, clock=clock), grant)
        engine.submit(RetrainCommanded(model="small", at=AT, command="first", by="ann", reason="to begin"))
        while engine.pending:
            engine.submit(_end(next(iter(engine.pending.values()))))
        day = timedelta(days=1)
        engine.submit(
            WindowScored(
                model="small",
                at=AT + 2 * day,
                version="v1",
                window=Interval(start=AT, end=AT + day),
                n=80,
                labelled=60,
                revision=0,
                evidence=(Evidence.of("slo(error<=0.3)", 0.1, 60, subject="error", interval=(0.05, 0.2)),),
            )
        )
        engine.submit(Ticked(model="small", at=AT + 2 * day, wall=AT))
        lease.release(grant)
    finally:
        database.close()
    return project


def record(project: Path, *facts: Fact) -> None:
    """Put further facts on a project's record."""
    settings = load(project)
    clock = SystemClock()
    with closing(Database(settings.state / "anew.db")) as database:
        lease = SQLLease(database, clock=clock)
        grant = lease.acquire("test", 60)
        assert grant is not None
        log = SQLEventLog(database, clock=clock)
        log.append([fact.caused_by(f"test {index}") for index, fact in enumerate(facts)], grant=grant)
        lease.release(grant)


def report_worker(project: Path, problem: str, epoch: int = 0) -> None:
    """Have this process be a gateway worker of the project that says so."""
    pid = os.getpid()
    started = process_started(pid) or 0
    status = WorkerStatus(
        model="small", worker="0", pid=pid, started=started, port=1, at=AT, epoch=epoch, problem=problem
    )  # fmt: skip
    state = project / ".anew"
    FileTraffic(state, verifier=Verifier.load(state / "keys")).report(status)


def _end(asked: Fact) -> Fact:
    version = getattr(asked, "version", "")
    common: dict[str, Any] = {"model": asked.model, "at": asked.at, "cause": asked.id}
    match asked.asks:
        case "snapshot":
            span = Interval(start=AT - timedelta(days=9), end=AT)
            return SnapshotTaken(
                **common,
                version=version,
                champion="",
                digest="5" * 64,
                tables=(("history", 1),),
                span=span,
                rows=500,
                holdout_rows=100,
                seed=1,
            )
        case "train":
            return CandidateTrained(
                **common,
                version=version,
                champion="",
                digest="a" * 64,
                snapshot="5" * 64,
                rows=400,
                compute_s=1.5,
            )
        case "measure":
            measured = Evidence.of("slos", 0.1, 100, subject="error at most 0.3")
            return CandidateMeasured(**common, version=version, champion="", digest="a" * 64, evidence=(measured,))
    return TrafficApplied(**common, epoch=getattr(asked, "epoch", 0), workers=0)
