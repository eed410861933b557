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
from anew.app.alone import alone
from anew.app.asker import who_asks
from anew.app.backup import check_backup
from anew.app.backup_manifest import Manifest, copy_file
from anew.app.settings import load
from anew.app.status import living_workers, state_folder
from anew.app.stores import open_lake
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError
from anew.domain.facts.rollout import Order, TrafficOrdered, TrafficShifted

__all__ = ["RestoreOptions", "Restored", "restore"]

_ROOM = 1_000


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
    dry_run
        Check everything, change nothing.
    """

    replace: bool = False
    supersede: bool = False
    keys: Path | None = None
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
    seconds
        From the call to a whole, verified project.
    """

    manifest: Manifest
    aside: Path | None
    epoch: int
    kept: Sequence[str]
    seconds: float


def restore(backup: Path, project: Path, options: RestoreOptions) -> Restored:
    """Check the backup, and put it into the folder `project`.

    Raises
    ------
    NotFoundError
        It is no backup, or the key that it needs is not there.
    IntegrityError
        The backup is damaged, or signed with another key than the project's.
    ConflictError
        Something runs there, is kept there, or has obeyed newer routing; the message says what to do.
    """
    began = time.monotonic()
    state = state_folder(project)
    keys = _keys(backup, state, options)
    manifest = check_backup(backup, Verifier.load(keys))
    epoch = _newest_epoch(state, manifest.model)
    if epoch > manifest.epoch and not options.supersede:
        raise ConflictError(
            f"gateways here have obeyed routing of epoch {epoch}, and this backup ends at {manifest.epoch}: it is "
            "older than they are. Restore a newer one, or go back to its champion on purpose: --supersede"
        )
    if state.exists() and not options.replace:
        raise ConflictError(f"{state} is there; --replace sets it aside, and deletes nothing of it")
    if options.dry_run:
        return Restored(manifest=manifest, aside=None, epoch=epoch, kept=(), seconds=time.monotonic() - began)
    project.mkdir(parents=True, exist_ok=True)
    draft = project / f".anew.restoring-{os.getpid()}"
    try:
        _filled(backup, draft, keys, manifest)
        aside = _put(draft, state, manifest.model)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    kept = _project_files(backup, project, manifest)
    _verify_lake(project)
    if epoch > manifest.epoch:
        epoch = _supersede(state, manifest.model, epoch)
    seconds = time.monotonic() - began
    return Restored(manifest=manifest, aside=aside, epoch=max(epoch, manifest.epoch), kept=kept, seconds=seconds)


def _keys(backup: Path, state: Path, options: RestoreOptions) -> Path:
    """Return the folder of the keys that the restored project is to have."""
    places = (options.keys, backup / "state" / "keys", state / "keys")
    for folder in places:
        if folder is not None and (folder / "signing.key").is_file():
            return folder
    if not backup.is_dir():
        raise NotFoundError(f"there is no backup {backup}")
    raise NotFoundError(
        f"{backup} was made without its private key, and none is in {state}; give the folder that has it: --keys FOLDER"
    )


def _newest_epoch(state: Path, model: str) -> int:
    """Return the greatest epoch that gateways of this folder have obeyed, 0 when nobody ever did."""
    workers = [int(each.get("epoch", 0)) for each in living_workers(state)]
    routing = None
    if (state / "routing" / f"{model}.json").is_file():
        routing = FileTraffic(state, verifier=Verifier.load(state / "keys")).published(model)
    return max([0 if routing is None else routing.epoch, *workers])


def _filled(backup: Path, draft: Path, keys: Path, manifest: Manifest) -> None:
    """Copy the stores, comparing every digest once more, and the keys."""
    for name, digest in manifest.files.items():
        if not name.startswith("state/"):
            continue
        inside = name.removeprefix("state/")
        if copy_file(backup / name, draft / inside) != digest:
            raise IntegrityError(f"backup {backup}: {name} changed while it was being restored; nothing was restored")
    if not (draft / "keys" / "signing.key").exists():
        copy_file(keys / "signing.key", draft / "keys" / "signing.key")
    Signer.load_or_create(draft / "keys")  # both halves belong together, or it says so
    for folder in sorted({path.parent for path in draft.rglob("*")}, reverse=True):
        sync_folder(folder)


def _put(draft: Path, state: Path, model: str) -> Path | None:
    """Rename the stores into place; what is there is set aside, unless anything uses it."""
    if not state.exists():
        draft.rename(state)
        sync_folder(state.parent)
        return None
    with alone(state / "run" / "up.lock"):
        living = [str(each["pid"]) for each in living_workers(state)]
        if living:
            raise ConflictError(
                f"gateway workers serve {model} from {state} (pid {', '.join(living)}), and write what they "
                "acknowledge there; stop them first"
            )
        aside = state.with_name(f"{state.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z")
        state.rename(aside)
        draft.rename(state)
        sync_folder(state.parent)
    return aside


def _project_files(backup: Path, project: Path, manifest: Manifest) -> Sequence[str]:
    """Copy the policy and the code where they are missing; return those that were there and differ."""
    kept = []
    for name in manifest.files:
        inside = name.removeprefix("project/")
        if inside == name:
            continue
        if not (project / inside).exists():
            copy_file(backup / name, project / inside)
        elif (project / inside).read_bytes() != (backup / name).read_bytes():
            kept.append(inside)
    return kept


def _verify_lake(project: Path) -> None:
    with open_lake(load(project)) as lake:
        damage = list(lake.verify())
    if damage:
        raise IntegrityError(f"the restored lake is not whole: {damage[0]}; use another backup")


def _supersede(state: Path, model: str, newest: int) -> int:
    """Order gateways back to the restored champion, by an epoch above all that they have obeyed."""
    signer = Signer.load_or_create(state / "keys")
    traffic = FileTraffic(state, verifier=signer.verifier, signer=signer)

    def back(routing: TrafficShifted) -> TrafficOrdered:
        return TrafficOrdered(
            model=model,
            at=routing.at,
            command=uuid.uuid4().hex,
            action=Order.HOLD,
            version=routing.challenger[0] or routing.champion[0],
            epoch=(newest // _ROOM + 1) * _ROOM,
            stage=routing.stage,
            share=routing.share,
            champion=routing.champion,
            challenger=routing.challenger,
            fallback=routing.fallback,
            by=who_asks(),
            reason="an older backup was restored",
        ).caused_by("")

    return traffic.order(model, back).epoch
