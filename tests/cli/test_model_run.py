"""Versions and runs at the command line: listed, shown, cancelled, and said so when they are not there."""

import json
from pathlib import Path

import pytest

from anew.adapters.fact_reader import read_facts
from anew.adapters.job_record import Ended, JobRecord
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.progress import describe_run
from anew.app.status import told_run
from anew.domain.facts import SnapshotTaken, Stage, SubjectPurgeAsked, TrafficShifted
from anew.loop.progress import Progress, ProgressFile
from anew.ports.compute import Job
from tests.cli.call import call
from tests.cli.recorded import AT, write_record


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_record(tmp_path / "p")


def asked_for(project: Path) -> str:
    """Record that a second version is to be trained, and return the id of its job."""
    (taken,) = (each.fact for each in read_facts(project / ".anew" / "anew.db", kinds={"SnapshotTaken"}))
    assert isinstance(taken, SnapshotTaken)
    again = SnapshotTaken(
        **{
            name: getattr(taken, name)
            for name in ("model", "at", "champion", "digest", "tables", "span", "rows", "holdout_rows", "seed")
        },
        version="v2",
    ).caused_by("another plan")
    clock, database = SystemClock(), Database(project / ".anew" / "anew.db")
    lease = SQLLease(database, clock=clock)
    held = lease.current()
    if held is not None:
        lease.release(held)
    grant = lease.acquire("test", 60)
    assert grant is not None
    SQLEventLog(database, clock=clock).append([again], grant=grant)
    lease.release(grant)
    database.close()
    return again.id


def test_versions_are_listed(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = call(capsys, monkeypatch, "model", "list", "-p", project)
    assert said.out.startswith("v1     champion")
    plain = json.loads(call(capsys, monkeypatch, "model", "list", "-p", project, "--json").out)
    assert (plain["schema"], [each["version"] for each in plain["data"]["versions"]]) == ("anew.model.list/1", ["v1"])


def test_a_version_that_is_not_there_is_not_found(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in ("show", "reproduce"):
        missing = call(capsys, monkeypatch, "model", verb, "v9", "-p", project)
        assert (missing.code, "'v9'" in missing.err, "the newest are v1" in missing.err) == (4, True, True)
    unstored = call(capsys, monkeypatch, "model", "show", "v1", "-p", project)
    assert unstored.code == 4
    assert "no artifact" in unstored.err


def test_a_run_under_way_is_shown_with_its_progress(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(capsys, monkeypatch, "run", "show", project).out == "nothing is under way\n"
    job = asked_for(project)
    assert call(capsys, monkeypatch, "run", "show", project).out == "v2  train: under way\n"
    record = JobRecord(project / ".anew" / "jobs" / job)
    record.create(Job(id=job, entry="anew.x:y", arguments={}))
    moments = iter((0.0, 30.0))
    told = ProgressFile(record.results, 900, clock=lambda: next(moments))
    told(Progress(step="search", of=20))
    told(Progress(step="search", done=10, of=20, best=0.25))
    expected = "trial 10 of 20, best 0.25, 900 rows, about 30 s left"
    assert call(capsys, monkeypatch, "run", "show", project).out == f"v2  train: {expected}\n"
    assert f"under way   train v2: {expected}" in call(capsys, monkeypatch, "status", project).out
    plain = json.loads(call(capsys, monkeypatch, "status", project, "--json").out)["data"]
    (run,) = plain["runs"]
    assert (run["progress"]["done"], run["progress"]["of"], run["progress"]["eta_s"]) == (10, 20, 30.0)
    assert plain["pending_effects"] == ["train"]
    (record.results / "progress.json").write_text("{half")
    assert call(capsys, monkeypatch, "run", "show", project).out == "v2  train: under way\n"


def test_a_run_is_cancelled_once_and_only_while_it_runs(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = call(capsys, monkeypatch, "run", "cancel", project)
    assert (nothing.code, "no run is under way" in nothing.err) == (4, True)
    job = asked_for(project)
    assert call(capsys, monkeypatch, "run", "cancel", project).code == 4, "nothing was begun that could be ended"
    record = JobRecord(project / ".anew" / "jobs" / job)
    record.create(Job(id=job, entry="anew.x:y", arguments={}))
    said = call(capsys, monkeypatch, "run", "cancel", project, "--reason", "too expensive")
    assert said.out == "v2 is being cancelled\n"
    assert str(record.cancelled).endswith(": too expensive")
    record.begin({"pid": 1, "at": 0.0, "begun": 1})
    record.end(Ended(reason="cancelled", detail="it was"))
    assert call(capsys, monkeypatch, "run", "cancel", project).code == 4


def test_a_shift_under_way_names_whom_it_is_about(tmp_path: Path) -> None:
    def shift(stage: Stage, challenger: tuple[str, str]) -> TrafficShifted:
        return TrafficShifted(
            model="small", at=AT, epoch=2, stage=stage, share=0.0, champion=("v1", "d1"), challenger=challenger
        )

    for fact, version in ((shift(Stage.SHADOW, ("v2", "d2")), "v2"), (shift(Stage.STEADY, ("", "")), "v1")):
        run = describe_run(tmp_path, fact)
        assert (run["version"], told_run(run)) == (version, f"shift {version}: under way")
    asked = SubjectPurgeAsked(model="small", at=AT, command="c", by="ann", reason="")
    assert told_run(describe_run(tmp_path, asked)) == f"{asked.asks}: under way"
