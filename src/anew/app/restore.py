"""`anew restore`: a project from its backup; never beneath gateways that know more than the backup does."""

import os
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.sealed_tree import sync_folder
from anew.adapters.signing import Signer, Verifier
from anew.app.accepted import accepted
from anew.app.alone import alone, lock_of
from anew.app.backup import check_backup
from anew.app.backup_copy import ACCESS
from anew.app.backup_manifest import Manifest, copy_file, refuse_other_folder
from anew.app.backup_record import BackupRecord, remember_backup
from anew.app.erased_since import Erasure, erased_since
from anew.app.obeyed import obeyed
from anew.app.person import access_file, person_here, user_file
from anew.app.settings import FILE
from anew.app.status import living_workers, state_folder
from anew.app.stores import open_lake
from anew.app.yaml_file import read_yaml
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError
from anew.domain.facts.rollout import Order, TrafficOrdered, TrafficShifted
from anew.loop.progress import Counting, uncounting

__all__ = ["RestoreOptions", "Restored", "restore"]

_ROOM = 1_000
"""The epoch of a superseding order is the next multiple of it: gateways may obey some that nobody here knows of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """How to restore.

    Parameters
    ----------
    replace
        Set aside what the project keeps now; otherwise it is refused.
    supersede
        Go back to the backup's champion although gateways have obeyed newer routing: as an order of a higher epoch.
    keys
        Folder of the keys, for a backup without; None: those in the backup, or in the project's place.
    new_keys
        Take the backup's key although the project has another, which otherwise has to have signed the backup.
    keep_access
        Where nothing here says who has been let in since, let everybody in whom the backup would; otherwise nobody is:
        a token that was revoked after the backup was made would be good again.
    dry_run
        Check everything, change nothing.
    """

    replace: bool = False
    supersede: bool = False
    keys: Path | None = None
    new_keys: bool = False
    keep_access: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was done.

    Attributes
    ----------
    aside
        Where what was there before is now; None when there was nothing.
    epoch
        Of the routing that gateways will obey.
    kept
        Files of the project that were there and were left as they are.
    access
        Who may use it: ``here`` as was said in this place last, ``backup`` as the backup says, ``revoked`` nobody.
    erased
        Orders to erase a subject's rows that were given here and are not in the backup: those rows are back. None where
        the record here cannot be read.
    seconds
        From the call to a whole, verified project.
    """

    manifest: Manifest
    aside: Path | None
    epoch: int
    kept: Sequence[str]
    access: str
    erased: Sequence[Erasure] | None
    seconds: float


def restore(backup: Path, project: Path, options: RestoreOptions, counting: Counting = uncounting) -> Restored:
    """Check the backup, and put it into the folder `project`; on an error the project is as it was.

    Parameters
    ----------
    counting
        Hears how far the checking and the copying are.

    Raises
    ------
    NotFoundError
        It is no backup, or the key that it needs is not there.
    IntegrityError
        The backup is damaged, or signed with another key than the project has. Where it has none yet, or `new_keys` is
        said, the key that comes with the backup finds damage alone, and proves no origin.
    ConflictError
        It is of another model, or something runs there, is kept there, or has obeyed newer routing; the message says
        what to do.
    """
    began = time.monotonic()
    state = state_folder(project)
    keys = _keys(backup, state, options)
    manifest = check_backup(backup, Verifier.load(keys), counting)
    epoch = _allowed(project, manifest, options, keys)
    ends, aside, kept = manifest.epoch, None, list[str]()
    if epoch > manifest.epoch:
        ends = (epoch // _ROOM + 1) * _ROOM
    access, erased = _known(state, options), erased_since(backup, state)
    if not options.dry_run:
        project.mkdir(parents=True, exist_ok=True)
        draft = project / f".anew.restoring-{os.getpid()}"
        try:
            _filled(backup, draft, keys, manifest, counting)
            if ends > manifest.epoch:
                _supersede(state_folder(draft), manifest.model, ends)
            kept = _kept(draft, project, manifest)
            _settle_access(state_folder(draft), state, access)
            restored_from = BackupRecord(folder=str(backup.resolve()), at=manifest.at, facts=manifest.facts)
            remember_backup(state_folder(draft), restored_from)
            aside = _put(draft, project, manifest, options, keys, epoch)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    seconds = time.monotonic() - began
    return Restored(
        manifest=manifest, aside=aside, epoch=ends, kept=kept, access=access, erased=erased, seconds=seconds
    )


def _keys(backup: Path, state: Path, options: RestoreOptions) -> Path:
    """Return the folder of the keys that the restored project is to have: of its own key, where it has one."""
    places = (options.keys, backup / "state" / "keys", state / "keys")
    keys = next((each for each in places if each is not None and (each / "signing.key").is_file()), None)
    if not backup.is_dir():
        raise NotFoundError(f"there is no backup {backup}")
    refuse_other_folder(backup)
    if keys is None:
        raise NotFoundError(
            f"{backup} was made without its private key, and none is in {state}; give the folder that has it: "
            "--keys FOLDER"
        )
    own = (state / "keys" / "signing.pub").exists() and not options.new_keys
    if own and Verifier.load(keys) != Verifier.load(state / "keys"):
        raise IntegrityError(
            f"the key in {keys} is not the one in {state / 'keys'}: this project did not sign that backup. To take the "
            "other key on purpose, knowing where the backup comes from: --new-keys"
        )
    return keys


def _allowed(project: Path, manifest: Manifest, options: RestoreOptions, keys: Path) -> int:
    """Return the newest epoch that gateways have obeyed here, or refuse because of what is here."""
    state = state_folder(project)
    models = {file.stem for file in (state / "routing").glob("*.json")}
    if (project / FILE).exists():
        models.add(str(read_yaml(project / FILE).values.get("model")))
    if others := sorted(models - {manifest.model}):
        raise ConflictError(
            f"{project} is the project of {', '.join(others)}, and this backup is of {manifest.model}; restore it "
            "into another folder"
        )
    known = obeyed(state, manifest.model, (state / "keys", keys))
    # Of what nobody can verify, an order above all that is known of is the safe end.
    epoch = max(known.epoch, manifest.epoch + 1) if known.problem else known.epoch
    if known.problem and not options.supersede:
        raise ConflictError(
            f"{known.problem}; gateways here may have obeyed newer routing than the backup's. To set it aside, and "
            "order them to the backup's champion by a higher epoch: --supersede"
        )
    if epoch > manifest.epoch and not options.supersede:
        raise ConflictError(
            f"gateways here have obeyed routing of epoch {epoch}, and this backup ends at {manifest.epoch}: it is "
            "older than they are. Restore a newer one, or go back to its champion on purpose: --supersede"
        )
    if state.exists() and not options.replace:
        raise ConflictError(f"{state} is there; --replace sets it aside, and deletes nothing of it")
    return epoch


def _filled(backup: Path, draft: Path, keys: Path, manifest: Manifest, counting: Counting) -> None:
    """Make a whole project of the backup, comparing every digest once more, with the keys; and verify its lake."""
    state = state_folder(draft)
    state.mkdir(mode=0o700, parents=True)  # a file's own folder alone would be its owner's
    told = counting("files copied")
    for done, (name, digest) in enumerate(manifest.files.items(), 1):
        kind, _, inside = name.partition("/")
        if copy_file(backup / name, (state if kind == "state" else draft) / inside) != digest:
            raise IntegrityError(f"backup {backup}: {name} changed while it was being restored; nothing was restored")
        told(done, len(manifest.files))
    if not (state / "keys" / "signing.key").exists():
        copy_file(keys / "signing.key", state / "keys" / "signing.key")
    Signer.load(state / "keys")  # both halves belong together, or it says so
    with open_lake(accepted(draft)) as lake:
        damage = list(lake.verify())
    if damage:
        raise IntegrityError(f"the lake of backup {backup} is not whole: {damage[0]}; use another")
    for folder in sorted({path.parent for path in draft.rglob("*")}, reverse=True):
        sync_folder(folder)


def _known(state: Path, options: RestoreOptions) -> str:
    """Return whose word counts of who may use the project."""
    if any((state / name).is_file() for name in ACCESS):
        return "here"
    return "backup" if options.keep_access else "revoked"


def _settle_access(draft: Path, state: Path, access: str) -> None:
    """Revive no access: what was said in this place last stays; where nothing was, the backup's is revoked."""
    if access == "here":
        for name in ACCESS:
            (draft / name).unlink(missing_ok=True)
            if (state / name).is_file():
                copy_file(state / name, draft / name)
    elif access == "revoked":
        tokens, users, now = access_file(draft), user_file(draft), datetime.now(UTC)
        for token in tokens.records():
            tokens.revoke(token.id, now=now)
        for user in users.records():
            users.revoke(user.name, now=now)


def _project_files(manifest: Manifest) -> Sequence[str]:
    return [name.removeprefix("project/") for name in manifest.files if name.startswith("project/")]


def _kept(draft: Path, project: Path, manifest: Manifest) -> list[str]:
    """Return the project's own files that are there and differ from the backup's."""
    there = [inside for inside in _project_files(manifest) if (project / inside).exists()]
    return [inside for inside in there if (project / inside).read_bytes() != (draft / inside).read_bytes()]


def _put(
    draft: Path, project: Path, manifest: Manifest, options: RestoreOptions, keys: Path, epoch: int
) -> Path | None:
    """Rename the draft into place; what is there is set aside, unless anything uses it or went on since `epoch`."""
    state = state_folder(project)
    if not state.exists():
        _renamed(draft, project, manifest, None)
        return None
    with alone(lock_of(state)):
        living = [str(each["pid"]) for each in living_workers(state) if not each.get("host")]
        if living:
            raise ConflictError(
                f"gateway workers serve {manifest.model} from {state} (pid {', '.join(living)}), and write what they "
                "acknowledge there; stop them first"
            )
        if (now := _allowed(project, manifest, options, keys)) > epoch:
            raise ConflictError(f"routing of epoch {now} was published here meanwhile; nothing was restored, try again")
        aside = state.with_name(f"{state.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z")
        _renamed(draft, project, manifest, aside)
    return aside


def _renamed(draft: Path, project: Path, manifest: Manifest, aside: Path | None) -> None:
    """Move the policy and the code to where they are missing, and the stores; all of it, or nothing."""
    state, placed = state_folder(project), list[Path]()
    try:
        for inside in _project_files(manifest):
            if not (project / inside).exists():
                (project / inside).parent.mkdir(parents=True, exist_ok=True)
                placed.append((draft / inside).rename(project / inside))
        if aside is not None:
            state.rename(aside)
        state_folder(draft).rename(state)
    except OSError:
        for file in placed:
            file.unlink()
        if aside is not None and aside.exists():
            aside.rename(state)
        raise
    for folder in {project, *(file.parent for file in placed)}:
        sync_folder(folder)


def _supersede(state: Path, model: str, epoch: int) -> None:
    """Order gateways back to the restored champion by `epoch`, which is above all that they have obeyed."""
    signer = Signer.load(state / "keys")
    traffic = FileTraffic(state, verifier=signer.verifier, signer=signer)

    def back(routing: TrafficShifted) -> TrafficOrdered:
        return TrafficOrdered(
            model=model,
            at=routing.at,
            command=uuid.uuid4().hex,
            action=Order.HOLD,
            version=routing.challenger[0] or routing.champion[0],
            epoch=epoch,
            stage=routing.stage,
            share=routing.share,
            champion=routing.champion,
            challenger=routing.challenger,
            fallback=routing.fallback,
            by=person_here(state),
            reason="an older backup was restored",
            arms=routing.arms,
            trial=routing.trial,
        ).caused_by("")

    traffic.order(model, back)
