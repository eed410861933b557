"""Backups of a project at rest: whole or refused, never half, and never beneath gateways that know more."""

import errno
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

import anew.app.backup_copy as backup_copy
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.process_table import process_started
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.signing import Signer
from anew.app.audit import verify
from anew.app.backup import back_up, check_backup
from anew.app.backup_record import last_backup
from anew.app.restore import RestoreOptions, restore
from anew.app.settings import load
from anew.app.status import project_status
from anew.app.stores import journal_folder, open_stores
from anew.domain.errors import AnewError, ConflictError, DiskFullError, IntegrityError, NotFoundError
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.domain.observation import Answer, Prediction
from anew.loop.drain import Drainer
from anew.ports.review import ReviewItem
from tests.cli.call import call
from tests.cli.recorded import AT, write_record

STORED, WAITING = 30, 12


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a record, an artifact, rows in the lake and rows that only the journal has."""
    made = write_record(tmp_path / "small")
    settings = load(made)
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "model.txt").write_text("trees")
    journal = SegmentJournal(journal_folder(settings.state, "0"))
    with open_stores(settings) as stores:
        stores.artifacts.put(artifact)
        journal.append([_prediction(number) for number in range(STORED)])
        Drainer(stores.journals, stores.lake).drain_once()
        asked = ReviewItem(prediction="p", at=AT, key="k", row={"x": 1.0}, reason="random", propensity=1.0, window=AT)
        stores.review.add([asked], reached=AT)
    journal.append([_prediction(STORED + number) for number in range(WAITING)])
    journal.close()
    _publish(made, 1)
    return made


def _prediction(number: int) -> Prediction:
    return Prediction(
        id=f"{number:032x}", model="small", at=AT, received_at=AT, key=str(number), version="v1", epoch=1,
        arm="champion", row={"x": float(number), "z": 0.0}, answer=Answer(output=1, proba=(0.5, 0.5)), latency_us=1,
    )  # fmt: skip


def _publish(project: Path, epoch: int) -> None:
    signer = Signer.load_or_create(project / ".anew" / "keys")
    routing = TrafficShifted(
        model="small", at=AT, epoch=epoch, stage=Stage.STEADY, share=0.0, champion=("v1", "a" * 64)
    )
    FileTraffic(project / ".anew", verifier=signer.verifier, signer=signer).publish(routing)


def test_what_is_restored_is_what_was_kept(project: Path, tmp_path: Path) -> None:
    folder, made = back_up(project, tmp_path / "backups")
    assert made.observations == {"stored": STORED, "waiting": WAITING}
    elsewhere = tmp_path / "elsewhere"
    done = restore(folder, elsewhere, RestoreOptions())
    assert done.epoch == 1
    assert verify(elsewhere) == verify(project)
    with open_stores(load(elsewhere)) as stores:
        assert [item.prediction for item in stores.review.untold()] == ["p"]
    assert project_status(elsewhere)["champion"] == project_status(project)["champion"]
    assert (elsewhere / "anew.yaml").read_bytes() == (project / "anew.yaml").read_bytes()
    with open_stores(load(elsewhere)) as stores:
        assert not list(stores.lake.verify())
        Drainer(stores.journals, stores.lake).drain_once()
        assert stores.lake.counts()["predictions"] == STORED + WAITING
    last = last_backup(project / ".anew")
    assert last is not None
    assert last.folder == str(folder)


@pytest.mark.fault("D20")
def test_without_the_journals_something_acknowledged_would_be_missing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_copy.BackupCopy, "_journals", lambda *_: 0)  # the fault
    folder, _ = back_up(project, tmp_path / "backups")
    restore(folder, tmp_path / "elsewhere", RestoreOptions())
    with open_stores(load(tmp_path / "elsewhere")) as stores:
        Drainer(stores.journals, stores.lake).drain_once()
        assert stores.lake.counts()["predictions"] == STORED


def test_every_damage_of_a_backup_is_found(project: Path, tmp_path: Path) -> None:
    folder, made = back_up(project, tmp_path / "backups")
    for name in made.files:
        broken = tmp_path / "broken"
        shutil.copytree(folder, broken)
        data = bytearray((broken / name).read_bytes())
        data[len(data) // 2] ^= 1
        (broken / name).write_bytes(data)
        with pytest.raises(AnewError):
            check_backup(broken)
        (broken / name).unlink()
        with pytest.raises(AnewError):
            restore(broken, tmp_path / "never", RestoreOptions())
        shutil.rmtree(broken)
    assert not (tmp_path / "never").exists()
    check_backup(folder)  # and it is whole


def test_a_manifest_that_was_altered_or_leads_elsewhere_is_refused(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    file = folder / "manifest.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"manifest": told["manifest"].replace('"epoch": 1', '"epoch": 9')}))
    with pytest.raises(IntegrityError, match="signature"):
        check_backup(folder)
    signer = Signer.load_or_create(project / ".anew" / "keys")
    body = json.dumps(json.loads(told["manifest"]) | {"files": {"../outside": "0" * 64}})
    signature = signer.sign(b"anew.backup/1\n" + body.encode())
    file.write_text(json.dumps({"schema": 1, "manifest": body, "signature": signature}))
    with pytest.raises(IntegrityError, match="outside"):
        check_backup(folder)
    file.unlink()
    with pytest.raises(NotFoundError):
        check_backup(folder)


@pytest.mark.fault("D3")
def test_a_full_disk_leaves_no_backup_behind(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(backup_copy, "copy_file", full)
    with pytest.raises(DiskFullError, match="nothing is left"):
        back_up(project, tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []
    assert last_backup(project / ".anew") is None


def test_a_lake_that_is_damaged_is_not_backed_up(project: Path, tmp_path: Path) -> None:
    (file,) = (project / ".anew" / "lake" / "predictions").glob("*.parquet")
    file.write_bytes(file.read_bytes() + b"!")
    with pytest.raises(IntegrityError, match="not what was stored"):
        back_up(project, tmp_path / "backups")


def test_without_secrets_the_key_comes_from_elsewhere(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups", secrets=False)
    assert not list(folder.rglob("signing.key"))
    with pytest.raises(NotFoundError, match="--keys"):
        restore(folder, tmp_path / "elsewhere", RestoreOptions())
    Signer.load_or_create(tmp_path / "other")
    with pytest.raises(IntegrityError):
        restore(folder, tmp_path / "elsewhere", RestoreOptions(keys=tmp_path / "other"))
    restore(folder, tmp_path / "elsewhere", RestoreOptions(keys=project / ".anew" / "keys"))
    assert (tmp_path / "elsewhere" / ".anew" / "keys" / "signing.key").stat().st_mode & 0o077 == 0


@pytest.mark.fault("D21")
def test_an_older_backup_is_not_put_beneath_newer_gateways(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    with pytest.raises(ConflictError, match="--replace"):
        restore(folder, project, RestoreOptions())
    restore(folder, project, RestoreOptions(replace=True))  # the control: of the same epoch it is put back
    _publish(project, 2)
    for options in (RestoreOptions(replace=True), RestoreOptions(replace=True, dry_run=True)):
        with pytest.raises(ConflictError, match="epoch 2, and this backup ends at 1"):
            restore(folder, project, options)
    done = restore(folder, project, RestoreOptions(replace=True, supersede=True))
    assert done.epoch == 1000
    assert done.aside is not None
    assert (done.aside / "anew.db").is_file()
    signer = Signer.load_or_create(project / ".anew" / "keys")
    (order,) = FileTraffic(project / ".anew", verifier=signer.verifier).ordered("small")
    assert (order.epoch, order.champion[0]) == (1000, "v1")


def test_nothing_is_restored_beneath_living_workers(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    status = {"worker": "0", "pid": os.getpid(), "started": process_started(os.getpid()), "epoch": 1}
    (project / ".anew" / "workers").mkdir()
    (project / ".anew" / "workers" / "small-0.json").write_text(json.dumps(status))
    with pytest.raises(ConflictError, match=str(os.getpid())):
        restore(folder, project, RestoreOptions(replace=True))
    assert not list(project.glob(".anew.*"))


def test_the_verbs_say_what_they_did(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = call(capsys, monkeypatch, "backup", tmp_path / "backups", project, "--json")
    data = json.loads(made.out)["data"]
    assert datetime.fromisoformat(data["at"]) <= datetime.now(UTC)
    assert data["observations"] == {"stored": STORED, "waiting": WAITING}
    checked = call(capsys, monkeypatch, "restore", data["folder"], tmp_path / "new", "--dry-run", "--json")
    assert json.loads(checked.out)["data"]["restored"] is False
    assert not (tmp_path / "new").exists()
    refused = call(capsys, monkeypatch, "restore", data["folder"], project)
    assert refused.code == 5
    said = call(capsys, monkeypatch, "restore", data["folder"], tmp_path / "new")
    assert "RTO" in said.out
    assert "anew up" in said.out
    assert call(capsys, monkeypatch, "backup", tmp_path / "backups", tmp_path).code == 4
