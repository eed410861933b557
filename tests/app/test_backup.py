"""Backups of a project at rest: whole or refused, never half."""

import errno
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import polars as pl
import pytest

import anew.app.backup as backup
import anew.app.backup_copy as backup_copy
from anew.adapters.signing import Signer
from anew.app.audit import verify
from anew.app.backup import back_up, check_backup
from anew.app.backup_record import last_backup
from anew.app.restore import RestoreOptions, restore
from anew.app.settings import load
from anew.app.status import project_status
from anew.app.stores import open_stores
from anew.domain.errors import AnewError, DiskFullError, IntegrityError, NotFoundError
from anew.domain.observation import Label
from anew.loop.drain import Drainer
from tests.app.backup_tree import STORED, WAITING, left_out, publish, write_kept
from tests.app.counting import Noted
from tests.cli.call import call
from tests.cli.recorded import AT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with everything that a backup has to copy, at rest."""
    return write_kept(tmp_path)


def test_backup_and_restore_say_how_far_they_are(project: Path, tmp_path: Path) -> None:
    backing, restoring = Noted(), Noted()
    folder, made = back_up(project, tmp_path / "backups", counting=backing)
    assert set(backing.heard) == {"files of the lake copied", "files checked"}
    assert 0 < backing.whole("files of the lake copied") < backing.whole("files checked") == len(made.files)
    restore(folder, tmp_path / "elsewhere", RestoreOptions(), restoring)
    assert set(restoring.heard) == {"files checked", "files copied"}
    assert restoring.whole("files checked") == restoring.whole("files copied") == len(made.files)


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
    with pytest.raises(IntegrityError, match=r"manifest.json: .* altered.*; use another backup"):
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


def test_a_backup_that_cannot_be_noted_is_made_all_the_same(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (project / ".anew" / ".backup.json").mkdir()  # the note cannot be written, as where there is no room
    folder, _ = back_up(project, tmp_path / "backups")
    check_backup(folder)
    assert last_backup(project / ".anew") is None
    assert f"{folder} is whole" in caplog.text


def test_a_lake_that_is_damaged_is_not_backed_up(project: Path, tmp_path: Path) -> None:
    (file,) = (project / ".anew" / "lake" / "predictions").glob("*.parquet")
    file.write_bytes(file.read_bytes() + b"!")
    with pytest.raises(IntegrityError, match="not what was stored"):
        back_up(project, tmp_path / "backups")


@pytest.mark.parametrize("kind", ["models", "snapshots"])
def test_what_is_damaged_is_not_backed_up_nor_restored(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with open_stores(load(project)) as stores:
        stores.snapshots.put(pl.DataFrame({"x": [1.0, 2.0]}))
    back_up(project, tmp_path / "whole")  # the control
    (file,) = (each for each in (project / ".anew" / kind).rglob("*") if each.suffix in (".txt", ".parquet"))
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(IntegrityError, match="no backup is made of what is damaged"):
        back_up(project, tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []
    monkeypatch.setattr(backup, "_refuse_damaged", lambda *_: None)  # one that was made before this was looked at
    folder, _ = back_up(project, tmp_path / "backups")
    with pytest.raises(IntegrityError, match="use another"):
        restore(folder, tmp_path / "elsewhere", RestoreOptions())
    assert not (tmp_path / "elsewhere").exists()


def test_a_model_that_may_have_to_answer_and_is_gone_is_missed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(project / ".anew" / "models")
    with pytest.raises(IntegrityError, match=r"v1 may have to answer, and its artifact \w+ is gone; no backup"):
        back_up(project, tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []
    monkeypatch.setattr(backup, "_refuse_damaged", lambda *_: None)  # one that was made before this was looked at
    folder, _ = back_up(project, tmp_path / "backups")
    with pytest.raises(IntegrityError, match="gone; use another"):
        check_backup(folder)


def test_all_that_is_kept_is_in_the_backup(project: Path, tmp_path: Path) -> None:
    state = project / ".anew"
    for name in ("mirror/shown.json", "mlflow/1/model/MLmodel", "profiles/one", "told/file.json", "purge/one.json"):
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text("{}")
    with closing(sqlite3.connect(state / "mlflow.db")) as database:
        database.execute("CREATE TABLE runs (id)")
    _, made = back_up(project, tmp_path / "backups")
    assert left_out(state, made) == []
    (state / "something.new").write_text("kept by a later release")  # the control
    assert left_out(state, made) == ["something.new"]
    # What is told of must be there: what people said is known to the record, what the mirror has shown to MLflow.
    names = list(made.files)
    for earlier, later in (("review.db", "anew.db"), ("anew.db", "lake.db"), ("mirror/shown.json", "mlflow.db")):
        assert names.index(f"state/{earlier}") < names.index(f"state/{later}")


@pytest.mark.fault("D20")
def test_a_word_that_is_stored_meanwhile_is_in_the_queue_or_in_the_lake(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word, first = _said(project), list[str]()
    copy = backup_copy.BackupCopy._database

    def copy_and_store(self: backup_copy.BackupCopy, name: str) -> Path:
        target = copy(self, name)
        if name in ("review.db", "lake.db") and not first:
            first.append(name)
            with open_stores(load(project)) as stores:
                stores.lake.append("review", word, [_label()])
                stores.review.stored(word)
        return target

    monkeypatch.setattr(backup_copy.BackupCopy, "_database", copy_and_store)
    folder, _ = back_up(project, tmp_path / "backups")
    restore(folder, tmp_path / "elsewhere", RestoreOptions())
    with open_stores(load(tmp_path / "elsewhere")) as stores:
        queued = [each.prediction for each in stores.review.words(stores.lake.drained("review"))]
        assert [*queued, *["stored"] * (stores.lake.counts()["labels"])] in (["p"], ["stored"])
        assert stores.review.status(AT)["labellers"]["ann"]["answered"] == 1


def _said(project: Path) -> int:
    """Have a person answer a question, and return the number of the word that it came to."""
    with open_stores(load(project)) as stores:
        asked = stores.review.lease("ann", AT, timedelta(minutes=5), gold=0.0)
        assert asked is not None
        stores.review.answer(asked.id, "ann", 1, AT)
        stores.review.settle(asked.id, 1, AT, ["ann"], agreed=True)
        return stores.review.words(0)[-1].number


def _label() -> Label:
    return Label(
        id="review/0/1", model="small", prediction="p", at=AT, received_at=AT, value=1, source="review",
        revision=1,
    )  # fmt: skip


def test_routing_that_the_record_has_not_heard_of_counts(project: Path, tmp_path: Path) -> None:
    publish(project, 7)
    folder, made = back_up(project, tmp_path / "backups")
    assert made.epoch == 7
    assert restore(folder, project, RestoreOptions(replace=True)).epoch == 7


def test_the_first_routing_published_meanwhile_is_not_missed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".anew" / "routing" / "small.json").unlink()
    record = backup_copy.BackupCopy._record

    def copy_and_publish(self: backup_copy.BackupCopy) -> None:
        record(self)
        publish(project, 1)

    monkeypatch.setattr(backup_copy.BackupCopy, "_record", copy_and_publish)
    _, made = back_up(project, tmp_path / "backups")
    assert "state/routing/small.json" in made.files


def test_a_check_writes_nothing_and_finds_files_too_many(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    restore(folder, tmp_path / "elsewhere", RestoreOptions(dry_run=True))
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before
    for name in ("state/models/more", "more"):
        (folder / name).symlink_to("/etc/hostname")
        with pytest.raises(IntegrityError, match="more came later"):
            check_backup(folder)
        (folder / name).unlink()
    check_backup(folder)


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
