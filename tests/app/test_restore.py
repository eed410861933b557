"""Restoring: the project that signed the backup, whole or as it was, and never beneath gateways that know more."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

import anew.app.restore as restoring
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.process_table import process_started
from anew.adapters.signing import Signer
from anew.app.backup import back_up, check_backup
from anew.app.backup_manifest import digest_file
from anew.app.backup_record import BackupRecord, last_backup
from anew.app.person import access_file, user_file
from anew.app.restore import RestoreOptions, restore
from anew.app.settings import load
from anew.app.stores import open_stores
from anew.domain.access import Role
from anew.domain.errors import AnewError, ConflictError, IntegrityError, NotFoundError, UnavailableError
from anew.domain.facts import SubjectPurgeAsked, SubjectPurged
from tests.app.backup_tree import publish, write_kept
from tests.cli.call import call
from tests.cli.recorded import record

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with everything that a backup has to copy, at rest."""
    return write_kept(tmp_path)


def test_without_secrets_the_key_comes_from_elsewhere(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups", secrets=False)
    assert not list(folder.rglob("signing.key"))
    with pytest.raises(NotFoundError, match="is no backup"):  # whatever keys there are
        restore(tmp_path, tmp_path / "other", RestoreOptions())
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
    publish(project, 2)
    for options in (RestoreOptions(replace=True), RestoreOptions(replace=True, dry_run=True)):
        with pytest.raises(ConflictError, match="epoch 2, and this backup ends at 1"):
            restore(folder, project, options)
    assert restore(folder, project, RestoreOptions(replace=True, supersede=True, dry_run=True)).epoch == 1000
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


def test_a_backup_that_the_project_did_not_sign_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_kept(tmp_path / "other")
    publish(other, 9)
    folder, _ = back_up(other, tmp_path / "backups")
    before = _tree(project)
    for options in (RestoreOptions(replace=True), RestoreOptions(replace=True, keys=other / ".anew" / "keys")):
        with pytest.raises(IntegrityError, match="--new-keys"):
            restore(folder, project, options)
    assert _tree(project) == before
    restore(folder, project, RestoreOptions(replace=True, new_keys=True))
    key = Path("keys", "signing.pub")
    assert (project / ".anew" / key).read_bytes() == (other / ".anew" / key).read_bytes()


@pytest.mark.parametrize("named", [False, True])
def test_keys_that_were_lost_come_back(project: Path, tmp_path: Path, *, named: bool) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    key = (project / ".anew" / "keys" / "signing.key").read_bytes()
    shutil.rmtree(project / ".anew" / "keys")
    options = RestoreOptions(replace=True, keys=folder / "state" / "keys" if named else None)
    assert restore(folder, project, options).epoch == 1
    assert (project / ".anew" / "keys" / "signing.key").read_bytes() == key


@pytest.mark.parametrize("left", ["facts", "routing", "artifact"])
def test_a_project_that_has_begun_gets_no_other_key(project: Path, tmp_path: Path, left: str) -> None:
    state = project / ".anew"
    for name, kept in (("anew.db", "facts"), ("routing", "routing"), ("models", "artifact")):
        if left != kept:
            (state / name).rename(tmp_path / name)
    shutil.rmtree(state / "keys")
    with pytest.raises(NotFoundError, match="back from a backup"), open_stores(load(project)):
        pass
    assert not (state / "keys").exists()


def test_with_another_key_made_meanwhile_the_former_comes_back(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    shutil.rmtree(project / ".anew" / "keys")
    Signer.load_or_create(project / ".anew" / "keys")
    with pytest.raises(IntegrityError, match="--new-keys"):
        restore(folder, project, RestoreOptions(replace=True))
    assert restore(folder, project, RestoreOptions(replace=True, new_keys=True)).epoch == 1


@pytest.mark.fault("D21")
@pytest.mark.parametrize(("spoilt", "epoch"), [("empty", 1000), ("forged", 3000), ("worker", 5000), ("stranger", 1000)])
def test_beneath_routing_that_nobody_can_verify_goes_an_order_above_all_that_is_known(
    project: Path, tmp_path: Path, spoilt: str, epoch: int
) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    state = project / ".anew"
    if spoilt == "forged":
        publish(project, 2500)
    file = state / "routing" / "small.json"
    told = json.loads(file.read_bytes())
    file.write_text("{}" if spoilt in ("empty", "worker") else json.dumps(told | {"signature": "00" * 64}))
    if spoilt == "worker":  # one that ended
        (state / "workers").mkdir()
        (state / "workers" / "small-0.json").write_text(json.dumps({"pid": 0, "started": 1, "epoch": 4500}))
    if spoilt == "stranger":
        shutil.rmtree(state / "keys")
    for dry_run in (False, True):
        with pytest.raises(ConflictError, match=r"is not a routing that this project signed.*--supersede"):
            restore(folder, project, RestoreOptions(replace=True, dry_run=dry_run))
    assert restore(folder, project, RestoreOptions(replace=True, supersede=True)).epoch == epoch
    signer = Signer.load(state / "keys")
    (order,) = FileTraffic(state, verifier=signer.verifier).ordered("small")
    assert (order.epoch, order.champion[0]) == (epoch, "v1")


@pytest.mark.fault("D21")
def test_without_routing_the_record_says_how_far_gateways_have_gone(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    publish(project, 7)
    state = project / ".anew"
    shifted = FileTraffic(state, verifier=Signer.load(state / "keys").verifier).published("small")
    assert shifted is not None
    record(project, shifted)
    (state / "routing" / "small.json").unlink()
    with pytest.raises(ConflictError, match="epoch 7, and this backup ends at 1"):
        restore(folder, project, RestoreOptions(replace=True))
    data = bytearray((state / "anew.db").read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    (state / "anew.db").write_bytes(data)
    with pytest.raises(ConflictError, match="--supersede"):
        restore(folder, project, RestoreOptions(replace=True))
    assert restore(folder, project, RestoreOptions(replace=True, supersede=True)).epoch == 1000


def test_a_backup_of_another_model_is_refused(project: Path, tmp_path: Path) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    settings = project / "anew.yaml"
    text = settings.read_text()
    settings.write_text(text.replace("model: small", "model: large"))
    with pytest.raises(ConflictError, match="project of large, and this backup is of small"):
        restore(folder, project, RestoreOptions(replace=True, supersede=True))
    settings.write_text(text)
    routing = project / ".anew" / "routing"
    (routing / "small.json").rename(routing / "large.json")
    with pytest.raises(ConflictError, match="project of large, and this backup is of small"):
        restore(folder, project, RestoreOptions(replace=True, supersede=True))
    (routing / "large.json").unlink()
    restore(folder, project, RestoreOptions(replace=True))


@pytest.mark.fault("D21")
@pytest.mark.parametrize("supersede", [False, True])
def test_routing_published_while_it_is_restored_is_seen(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, supersede: bool
) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    publish(project, 2 if supersede else 1)
    fill = restoring._filled

    def fill_and_publish(*arguments: Any) -> None:
        fill(*arguments)
        publish(project, 3000)

    monkeypatch.setattr(restoring, "_filled", fill_and_publish)
    with pytest.raises(ConflictError, match="epoch 3000"):
        restore(folder, project, RestoreOptions(replace=True, supersede=supersede))
    assert not list(project.glob(".anew.*"))


def _broken_lake(project: Path, folder: Path, _: pytest.MonkeyPatch) -> None:
    """Damage the lake of a backup and sign that."""
    told = json.loads((folder / "manifest.json").read_text())
    body = json.loads(told["manifest"])
    name = next(name for name in body["files"] if name.startswith("state/lake/predictions") and "parquet" in name)
    (folder / name).write_bytes((folder / name).read_bytes() + b"!")
    body["files"][name] = digest_file(folder / name)
    signer, text = Signer.load_or_create(project / ".anew" / "keys"), json.dumps(body)
    signature = signer.sign(b"anew.backup/1\n" + text.encode())
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "manifest": text, "signature": signature}))


def _no_order(_: Path, __: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise UnavailableError("routing of small was not published: no space")

    monkeypatch.setattr(FileTraffic, "order", full)


def _no_rename(_: Path, __: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name == ".anew" and self.parent.name.startswith(".anew.restoring"):
            raise OSError(errno.EIO, "the disk fails")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)


@pytest.mark.parametrize("fault", [_broken_lake, _no_order, _no_rename])
def test_a_restore_that_fails_leaves_the_project_as_it_was(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Path, Path, pytest.MonkeyPatch], None],
) -> None:
    folder, _ = back_up(project, tmp_path / "backups")
    publish(project, 2)
    (project / "pipeline.py").unlink()  # which a restore would put back
    before = _tree(project)
    options = RestoreOptions(replace=True, supersede=True)
    with monkeypatch.context() as patched:
        fault(project, folder, patched)
        with pytest.raises(OSError if fault is _no_rename else AnewError):
            restore(folder, project, options)
    assert _tree(project) == before
    if fault is not _broken_lake:  # the control
        assert restore(folder, project, options).epoch == 1000
        assert (project / "pipeline.py").is_file()


def _tree(project: Path) -> dict[str, str]:
    found = {str(path): digest_file(path) for path in project.rglob("*") if path.is_file()}
    return {name: digest for name, digest in found.items() if not name.endswith("up.lock")}


def access_of(project: Path) -> tuple[bool, bool, bool]:
    """Return whether the token that was revoked since, the other one, and the person with the old password are good."""
    tokens, users = access_file(project / ".anew"), user_file(project / ".anew")
    good = {each.name: each.is_good(NOW) for each in tokens.records()}
    return good["gone"], good["stays"], users.holder(PERSON[0], now=NOW) is not None


PERSON: list[str] = []


@pytest.fixture
def backed_up(project: Path, tmp_path: Path) -> Path:
    """Give a backup of a project in which access was taken back after it was made."""
    tokens, users = access_file(project / ".anew"), user_file(project / ".anew")
    gone = tokens.create("gone", Role.ADMIN, now=NOW)[1]
    tokens.create("stays", Role.ADMIN, now=NOW)
    PERSON[:] = [users.add("ann", Role.ADMIN, now=NOW, kept="hash").principal.id]
    folder, _ = back_up(project, tmp_path / "backups")
    tokens.revoke(gone.id, now=NOW)
    users.set_password("ann", "another", now=NOW)
    return folder


@pytest.mark.fault("D20")
def test_a_restore_revives_no_access_in_its_place(project: Path, backed_up: Path) -> None:
    done = restore(backed_up, project, RestoreOptions(replace=True))
    assert done.access == "here"
    assert access_of(project) == (False, True, False)


def test_a_restore_says_what_was_erased_since_and_is_back(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = (
        SubjectPurgeAsked(model="small", at=NOW, command=command, by="ann", reason=f"wish {command}")
        for command in ("b" * 32, "a" * 32)
    )
    record(project, before)
    folder, _ = back_up(project, tmp_path / "backups")
    assert restore(folder, project, RestoreOptions(replace=True, dry_run=True)).erased == []
    record(project, SubjectPurged(model="small", at=NOW, command=before.command, rows=(), snapshots=()), after)
    check_backup(folder)  # to look into its record left nothing behind
    plain = ("restore", folder, project, "--replace")
    told = json.loads(call(capsys, monkeypatch, *plain, "--dry-run", "--json").out)["data"]
    assert told["erased"] == [{"at": NOW.isoformat(), "by": "ann", "reason": f"wish {after.command}"}]
    said = call(capsys, monkeypatch, *plain, "--yes").out
    assert f"on 2026-03-01 00:00 ann had a subject's rows erased: wish {after.command}" in said
    assert f"again for each of these 1:\n  anew data purge {project} --subject KEY" in said
    assert "wish b" not in said
    assert not restore(folder, tmp_path / "elsewhere", RestoreOptions()).erased, "nothing is known there"
    (project / ".anew" / "anew.db").write_bytes(b"none" * 4096)
    (project / ".anew" / "routing" / "small.json").unlink()
    told = json.loads(call(capsys, monkeypatch, *plain, "--yes", "--supersede", "--json").out)["data"]
    assert told["erased"] is None


def test_the_last_backup_of_what_was_restored_is_the_one_it_came_from(project: Path, backed_up: Path) -> None:
    for target, options in ((project, RestoreOptions(replace=True)), (project.parent / "elsewhere", RestoreOptions())):
        done = restore(backed_up, target, options)
        last = last_backup(target / ".anew")
        assert last == BackupRecord(folder=str(backed_up), at=done.manifest.at, facts=done.manifest.facts)


def test_what_is_restored_is_its_owners_alone(backed_up: Path, tmp_path: Path) -> None:
    restore(backed_up, tmp_path / "elsewhere", RestoreOptions())
    assert (tmp_path / "elsewhere" / ".anew").stat().st_mode & 0o077 == 0


@pytest.mark.fault("D20")
def test_a_restore_elsewhere_lets_nobody_in_unless_it_is_told_to(backed_up: Path, tmp_path: Path) -> None:
    done = restore(backed_up, tmp_path / "elsewhere", RestoreOptions())
    assert done.access == "revoked"
    assert access_of(tmp_path / "elsewhere") == (False, False, False)
    done = restore(backed_up, tmp_path / "third", RestoreOptions(keep_access=True))
    assert done.access == "backup"
    assert access_of(tmp_path / "third") == (True, True, True), "the control: it is in the backup"
