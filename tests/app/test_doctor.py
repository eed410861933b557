"""`anew doctor`: every planted fault is found, says what to do, and is not found where it was not planted."""

import json
import os
import resource
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import polars as pl
import pytest

import anew.app.doctor.machine as machine
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.signing import Signer
from anew.app.backup_record import BackupRecord, remember_backup
from anew.app.doctor import examine
from anew.app.doctor.machine import MACHINE
from anew.app.doctor.project import PROJECT
from anew.app.doctor.store import STORE
from anew.app.order import order
from anew.app.person import access_file, user_file
from anew.app.settings import load
from anew.app.stores import open_stores
from anew.domain.access import Role
from anew.domain.errors import InvariantError, NotFoundError
from anew.domain.facts import Order, Stage, Ticked, TrafficShifted, VersionPromoted
from anew.domain.health import Finding, Health
from tests.adapters.fact_samples import sample
from tests.app.small_project import PIPELINE, YAML, write_project
from tests.cli.call import call
from tests.cli.recorded import AT, record, write_record

Plant = Callable[[Path, pytest.MonkeyPatch], object]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose stores are all there, and whole; no loop runs."""
    made = write_record(tmp_path / "small")
    (made / ".anew").chmod(0o700)
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "model.txt").write_text("trees")
    with open_stores(load(made)) as stores:
        stores.artifacts.put(artifact)
        stores.snapshots.put(pl.DataFrame({"x": [1.0]}))
    return made


def _other_policy(project: Path, more: str) -> None:
    write_project(project, YAML + more)


def _token(project: Path, user: str = "") -> None:
    access_file(project / ".anew").create(f"laptop{user}", Role.APPROVER, now=AT, user=user)


def _corrupt(file: Path) -> None:
    """Overwrite the middle of a SQLite file's pages, with nothing left in its log."""
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(file.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    file.write_bytes(data)


def _newer_routing(project: Path, epoch: int = 99) -> None:
    state = project / ".anew"
    signer = Signer.load_or_create(state / "keys")
    routing = TrafficShifted(
        model="small", at=AT, id="9" * 26, cause="8" * 26, epoch=epoch, stage=Stage.STEADY, share=0.0,
        champion=("v9", "9" * 64),
    )  # fmt: skip
    FileTraffic(state, verifier=signer.verifier, signer=signer).publish(routing)


def _order(project: Path) -> None:
    """Roll v1 back at the gateways while no loop runs."""
    state = project / ".anew"
    signer = Signer.load_or_create(state / "keys")
    routing = TrafficShifted(
        model="small", at=AT, id="9" * 26, cause="8" * 26, epoch=1, stage=Stage.STEADY, share=0.0,
        champion=("v1", "9" * 64), fallback=("v0", "7" * 64),
    )  # fmt: skip
    FileTraffic(state, verifier=signer.verifier, signer=signer).publish(routing)
    order(project, Order.ROLLBACK, "no loop")


def _cut(project: Path, pattern: str) -> None:
    (file,) = (project / ".anew").glob(pattern)
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-3])


def _break_chain(project: Path) -> None:
    with sqlite3.connect(project / ".anew" / "anew.db") as connection:
        connection.execute("UPDATE fact SET body = replace(body, 'ann', 'bob') WHERE body LIKE '%ann%'")
    connection.close()


def _future(project: Path) -> None:
    with sqlite3.connect(project / ".anew" / "anew.db") as connection:
        connection.execute("UPDATE fact SET recorded_at = '2999-01-01T00:00:00.000000+00:00' WHERE seq = 1")
        connection.execute("UPDATE fact SET recorded_at = '2999-01-01T00:00:00.000000+00:00'")
    connection.close()


def _champion_to_come(project: Path) -> None:
    promoted = replace(sample(VersionPromoted), model="small", at=AT + timedelta(days=300))
    record(project, promoted, Ticked(model="small", at=AT + timedelta(days=3), wall=AT))


def _ticked_to_come(project: Path) -> None:
    record(project, Ticked(model="small", at=datetime.now(UTC) + timedelta(days=1), wall=AT))


FAULTS: dict[str, tuple[str, Health, Plant]] = {
    "fsync fails": ("fsync", Health.BAD, lambda _, m: m.setattr(os, "fdatasync", _fails)),
    "fsync lies": ("fsync", Health.BAD, lambda _, m: m.setattr(os, "pread", lambda *_: b"other")),
    "network": ("file system", Health.BAD, lambda _, m: m.setattr(machine, "mounted_on", lambda _: ("nfs4", "/mnt"))),
    "memory disk": (
        "file system", Health.WARNING, lambda _, m: m.setattr(machine, "mounted_on", lambda _: ("tmpfs", "/mnt")),
    ),
    "no space": ("disk space", Health.BAD, lambda _, m: m.setattr(machine, "_LEAST_FREE_MB", 1 << 40)),
    "few files": ("open files", Health.BAD, lambda _, m: m.setattr(resource, "getrlimit", lambda _: (64, 64))),
    "small files": (
        "file size", Health.WARNING, lambda _, m: m.setattr(resource, "getrlimit", lambda _: (64, 64)),
    ),
    "old packages": ("packages", Health.BAD, lambda _, m: m.setattr(machine, "version", lambda _: "0.0.1")),
    "clock in the past": ("clock", Health.BAD, lambda _, m: m.setattr(machine, "datetime", _Past)),
    "pipeline": ("pipeline", Health.BAD, lambda p, _: write_project(p, YAML, "import nowhere_at_all\n" + PIPELINE)),
    "secret": ("secrets", Health.BAD, lambda p, _: _other_policy(p, "notify: ['env:ANEW_NO_SUCH_THING']\n")),
    "token of nobody": ("tokens", Health.WARNING, lambda p, _: _token(p)),
    "nobody let in": ("access", Health.WARNING, lambda p, _: _other_policy(p, "access: {anonymous: nobody}\n")),
    "history": ("history", Health.BAD, lambda p, _: write_project(
        p, YAML.replace("data: {", "data: {history: gone.parquet, "),
    )),
    "permissions": ("permissions", Health.BAD, lambda p, _: (p / ".anew").chmod(0o755)),
    "key": ("signing key", Health.BAD, lambda p, _: (p / ".anew" / "keys" / "signing.key").unlink()),
    "database": ("database", Health.BAD, lambda p, _: _corrupt(p / ".anew" / "anew.db")),
    "record": ("record", Health.BAD, lambda p, _: _break_chain(p)),
    "future": ("recorded times", Health.BAD, lambda p, _: _future(p)),
    "champion of the future": ("event time", Health.BAD, lambda p, _: _champion_to_come(p)),
    "event time of the future": ("event time", Health.BAD, lambda p, _: _ticked_to_come(p)),
    "mark gone": ("high-water mark", Health.BAD, lambda p, _: (p / ".anew" / "lake.db").unlink()),
    "newer gateways": ("routing", Health.BAD, lambda p, _: _newer_routing(p)),
    "order not on record": ("routing", Health.WARNING, lambda p, _: _order(p)),
    "order for another champion": ("champion", Health.WARNING, lambda p, _: _order(p)),
    "artifact gone": ("artifacts", Health.BAD, lambda p, _: _newer_routing(p)),
    "old version damaged": ("artifacts", Health.BAD, lambda p, _: _cut(p, "models/*/model.txt")),
    "snapshot damaged": ("artifacts", Health.BAD, lambda p, _: _cut(p, "snapshots/*.parquet")),
    "review queue": ("review queue", Health.BAD, lambda p, _: _corrupt(p / ".anew" / "review.db")),
    "checkpoints": ("effects", Health.BAD, lambda p, _: (p / ".anew" / "dbos.db").write_bytes(b"none" * 4096)),
    "old backup": ("backup", Health.WARNING, lambda p, _: remember_backup(
        p / ".anew", BackupRecord(folder="b", at=datetime.now(UTC) - timedelta(days=8), facts=1),
    )),
}  # fmt: skip
"""Fault: what shows it, how bad it is, how to plant it."""


class _Past(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_Past":
        return cls(2001, 1, 1, tzinfo=tz)


def _fails(_: int) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_says_what_to_do(
    fault: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, health, plant = FAULTS[fault]
    remember_backup(project / ".anew", BackupRecord(folder="b", at=datetime.now(UTC), facts=1))
    before = _finding(project, name)
    assert before.health in (Health.GOOD, Health.SKIPPED) or name == "access", before
    plant(project, monkeypatch)
    after = _finding(project, name)
    assert after.health is health, after
    assert after.fix


def _finding(project: Path, name: str) -> Finding:
    """Return one finding of an examination in which nothing else is looked at."""
    with pytest.MonkeyPatch.context() as patch:
        for table in (MACHINE, PROJECT, STORE):
            for each in set(table) - {name}:
                patch.setitem(table, each, lambda _: Finding.skipped("", "not in this test"))
        return next(each for each in examine(project) if each.name == name)


def test_a_port_of_somebody_else_is_found(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write_project(project, YAML + f"serving: {{port: {port}}}\n")
        assert PROJECT["port"](load(project)).health is Health.BAD
    assert PROJECT["port"](load(project)).health is Health.GOOD


def test_what_is_examined_is_everything_and_nothing_is_changed(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.suffix not in (".db-shm", ".db-wal")}
    called = call(capsys, monkeypatch, "doctor", project, "--json")
    data = json.loads(called.out)["data"]
    assert called.code == 0, data
    assert [each["name"] for each in data["findings"]] == [*MACHINE, *PROJECT, *STORE]
    assert len(data["findings"]) >= 20
    assert sum(data["counts"].values()) == len(data["findings"])
    after = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.suffix not in (".db-shm", ".db-wal")}
    assert {path for path in after if path.is_file()} == {path for path in before if path.is_file()}


def test_something_bad_ends_it_with_1(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_child", lambda _: subprocess.CompletedProcess([], 0, "a b", ""))
    (project / ".anew").chmod(0o755)
    called = call(capsys, monkeypatch, "doctor", project, "--quick")
    assert called.code == 1
    assert "✗ permissions" in called.out
    assert f"chmod 700 {project / '.anew'}" in called.out
    assert call(capsys, monkeypatch, "doctor", project / "nowhere").code == 4


def test_no_secret_is_shown(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_child", lambda _: subprocess.CompletedProcess([], 0, "a b", ""))
    monkeypatch.setenv("ANEW_TEST_SECRET", "tok-canary-1234")
    (project / "anew.yaml").write_text(YAML + "notify: ['env:ANEW_TEST_SECRET']\n")
    called = call(capsys, monkeypatch, "doctor", project)
    assert "tok-canary-1234" not in called.out + called.err
    assert "✓ secrets" in called.out


def test_where_there_is_no_project_the_machine_is_examined(tmp_path: Path) -> None:
    findings = {each.name: each for each in examine(tmp_path)}
    assert findings["fsync"].health is Health.GOOD
    assert all(findings[name].health is Health.SKIPPED for name in (*PROJECT, *STORE))
    with pytest.raises(NotFoundError):
        examine(tmp_path / "nowhere")


def test_what_is_bad_has_to_say_what_to_do() -> None:
    with pytest.raises(InvariantError):
        Finding(name="disk", health=Health.BAD, found="full")


def test_a_token_that_is_somebody_s_or_can_neither_ask_nor_sign_is_well(project: Path) -> None:
    user_file(project / ".anew").add("ann", Role.APPROVER, now=AT)
    _token(project, "ann")
    access_file(project / ".anew").create("app", Role.MACHINE, now=AT)
    assert _finding(project, "tokens").health is Health.GOOD


def test_time_that_has_passed_before_anything_was_asked_for_is_well(project: Path) -> None:
    """As where nothing is promoted or asked for since a freeze is in force."""
    shutil.rmtree(project / ".anew")
    (project / ".anew").mkdir(mode=0o700)
    record(project, Ticked(model="small", at=AT, wall=AT))
    assert _finding(project, "event time").health is Health.GOOD
