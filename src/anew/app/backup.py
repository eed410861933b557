"""`anew backup`: a copy of all that a project keeps, made while it serves, signed and checked."""

import errno
import logging
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import anew
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.sealed_tree import sync_folder
from anew.adapters.signing import Signer, Verifier
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import ChainHead, SQLEventLog
from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted
from anew.app.backup_copy import BackupCopy, record_epoch
from anew.app.backup_manifest import MANIFEST, Manifest, copy_file, digest_file, read_manifest, write_manifest
from anew.app.backup_record import BackupRecord, remember_backup
from anew.app.kept import damaged_kept, kept_artifacts
from anew.app.record_place import has_record
from anew.app.settings import FILE, Settings
from anew.domain.errors import AnewError, DiskFullError, IntegrityError, NotFoundError, PolicyError, UnavailableError
from anew.loop.progress import Counting, uncounting

__all__ = ["back_up", "check_backup"]

_LOG = logging.getLogger("anew.backup")


def back_up(
    project: Path, destination: Path, *, secrets: bool = True, counting: Counting = uncounting
) -> tuple[Path, Manifest]:
    """Copy the project into a new folder under `destination`, check the copy, and return the folder and what it holds.

    The project may be running, and goes on.

    Parameters
    ----------
    secrets
        Copy the private key and the hashes of tokens and passwords too; without, restoring needs a key from elsewhere.
    counting
        Hears how far the copying and the checking are.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    IntegrityError
        What is to be copied is damaged; the message says what.
    PolicyError
        The lake is in a bucket.
    DiskFullError, UnavailableError
        There is no room, or a disk fails; nothing is left behind.
    """
    settings = accepted(project)
    if not has_record(settings.state):
        raise NotFoundError(f"{project} was never brought up (anew up): there is nothing to back up")
    if settings.policy.stores.lake != "local":
        raise PolicyError(
            f"the lake is in {settings.policy.stores.lake}, and anew backs up one on a disk alone; let the bucket keep "
            "its versions, and copy .anew while the project is stopped"
        )
    at = datetime.now(UTC)
    final = destination.absolute() / f"{settings.model}-{at:%Y%m%dT%H%M%S%f}Z"
    draft = final.with_name(f".{final.name}.partial")
    try:
        (draft / "state").mkdir(mode=0o700, parents=True)
        manifest = _made(settings, draft, at, secrets=secrets, counting=counting)
        _checked(draft, Verifier.load(settings.state / "keys"), counting)
        _refuse_damaged(draft / "state", settings.model)
        draft.rename(final)
        sync_folder(final.parent)
    except OSError as exc:
        if isinstance(exc, AnewError):
            raise
        error = DiskFullError if exc.errno in (errno.ENOSPC, errno.EDQUOT) else UnavailableError
        raise error(f"no backup was made, and nothing is left of it: {exc}") from exc
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    try:
        remember_backup(settings.state, BackupRecord(folder=str(final), at=at, facts=manifest.facts))
    except OSError as exc:  # losing the note loses no backup
        _LOG.warning("%s is whole, but anew doctor cannot know of it: it was not noted problem=%s", final, exc)
    return final, manifest


def check_backup(folder: Path, verifier: Verifier | None = None, counting: Counting = uncounting) -> Manifest:
    """Read every byte of a backup and return what it holds.

    Parameters
    ----------
    verifier
        With the key that it must be signed with; None for the key that came with it, which finds damage alone.
    counting
        Hears how far the checking is.

    Raises
    ------
    NotFoundError
        It is no backup, or one that was never finished.
    IntegrityError
        A file is missing, another or too many, the record's chain is broken, or a model or a snapshot was damaged
        before it was backed up.
    """
    manifest = _checked(folder, verifier, counting)
    if damage := [*_lost(folder / "state", manifest.model), *damaged_kept(folder / "state")]:
        raise IntegrityError(f"backup {folder}: {damage[0]}; use another")
    return manifest


def _refuse_damaged(copied: Path, model: str) -> None:
    """Refuse copies of models and snapshots that are not what was signed or stored, and the lack of one routed to."""
    if damage := [*_lost(copied, model), *damaged_kept(copied)]:
        more = f", and {len(damage) - 1} more" if damage[1:] else ""
        raise IntegrityError(
            f"{damage[0]}{more}; no backup is made of what is damaged: copy it back from an earlier one (state/models, "
            "state/snapshots), or have anew rollout prune delete a version that is done with"
        )


def _lost(copied: Path, model: str) -> Sequence[str]:
    """Say which models may have to answer and were not there to be copied."""
    routing = FileTraffic(copied, verifier=Verifier.load(copied / "keys")).published(model)
    named = () if routing is None else routing.named
    store = kept_artifacts(copied)
    return [
        f"{version} may have to answer, and its artifact {digest[:12]} is gone"
        for version, digest in named
        if digest and not store.has(digest)
    ]


def _checked(folder: Path, verifier: Verifier | None, counting: Counting) -> Manifest:
    """Check the files of a backup against its manifest, and its record's chain."""
    manifest = read_manifest(folder, verifier)
    named = {MANIFEST, *manifest.files}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in named:
            raise IntegrityError(f"backup {folder}: {name} came later; remove it, or use another backup")
    told = counting("files checked")
    for done, (name, digest) in enumerate(manifest.files.items(), 1):
        try:
            found = digest_file(folder / name)
        except OSError as exc:
            raise IntegrityError(f"backup {folder}: {name} cannot be read ({exc.strerror}); use another") from exc
        if found != digest:
            raise IntegrityError(f"backup {folder}: {name} is not what was backed up; use another")
        told(done, len(manifest.files))
    head = _verified(folder / "state" / "anew.db")
    if (head.seq, head.hash) != (manifest.facts, manifest.head):
        raise IntegrityError(f"backup {folder}: the record ends at {head.seq}, not at {manifest.facts}; use another")
    return manifest


def _made(settings: Settings, draft: Path, at: datetime, *, secrets: bool, counting: Counting) -> Manifest:
    copy = BackupCopy(state=settings.state, target=draft / "state", counting=counting)
    copy.review()
    copy.record()
    observations = copy.data()
    copy.rest(secrets=secrets)
    files = dict(copy.files)
    for name in (FILE, settings.policy.pipeline, *(suite.file for suite in settings.policy.suites.values())):
        if name and (settings.root / name).is_file():
            files[f"project/{name}"] = copy_file(settings.root / name, draft / "project" / name)
    for folder in sorted({path.parent for path in draft.rglob("*")}, reverse=True):
        sync_folder(folder)
    signer = Signer.load(settings.state / "keys")
    head = _verified(draft / "state" / "anew.db")
    # An order is obeyed before the loop has put it on record.
    routing = FileTraffic(draft / "state", verifier=signer.verifier).published(settings.model)
    manifest = Manifest(
        model=settings.model,
        at=at,
        version=anew.__version__,
        facts=head.seq,
        head=head.hash,
        epoch=max(record_epoch(draft / "state" / "anew.db"), 0 if routing is None else routing.epoch),
        observations=observations,
        keys=secrets,
        files=files,
    )
    write_manifest(draft, manifest, signer)
    return manifest


def _verified(database: Path) -> ChainHead:
    """Verify the chain of a copied record; on a copy elsewhere, for opening it would change it and its folder."""
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / database.name
        copy_file(database, again)
        with closing(Database(again, create=False)) as opened:
            return SQLEventLog(opened, clock=SystemClock()).verify_chain()
