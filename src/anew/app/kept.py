"""A project's artifacts and snapshots, opened where they are: in its folder, or in a bucket with copies in it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.local_snapshot import LocalSnapshotStore
from anew.adapters.s3_artifact import S3ArtifactStore
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.s3_snapshot import S3SnapshotStore
from anew.adapters.signing import Signer, Verifier
from anew.app.record_place import LOCAL, artifact_place, has_record, put_down, settled
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError
from anew.loop.progress import uncounted
from anew.ports.artifact import ArtifactStore
from anew.ports.snapshot import SnapshotStore

__all__ = [
    "artifact_files",
    "count_kept",
    "damaged_kept",
    "fetch_kept",
    "kept_artifacts",
    "kept_snapshots",
    "lost_kept",
    "move_kept",
    "settle_kept",
]


def kept_artifacts(state: Path, signer: Signer | None = None) -> ArtifactStore:
    """Open the artifacts of the project whose ``.anew`` folder is `state`; to be read alone without a `signer`.

    Raises
    ------
    NotFoundError
        The project has no key yet: it was never brought up.
    MissingExtraError
        They are in a bucket, and its client is not installed.
    """
    local, place = _local_artifacts(state, signer), artifact_place(state)
    return local if place == LOCAL else S3ArtifactStore(bucket=_models(place), copies=local)


def kept_snapshots(state: Path) -> SnapshotStore:
    """Open the snapshots of a project; raises as `kept_artifacts` does."""
    local, place = LocalSnapshotStore(state / "snapshots"), artifact_place(state)
    return local if place == LOCAL else S3SnapshotStore(_snapshots(place), local)


def artifact_files(state: Path, digest: str, *names: str) -> Mapping[str, bytes]:
    """Return the bytes of those of the named files that an artifact has, verified; others of it are not read.

    They come from the copy that is here. One that is not there, or not what was signed, is fetched again.

    Raises
    ------
    NotFoundError, IntegrityError, UnavailableError
        As `ArtifactStore.get`.
    """
    local = _local_artifacts(state)
    try:
        return local.read(digest, names)
    except (NotFoundError, IntegrityError):
        kept_artifacts(state).get(digest)
        return local.read(digest, names)


def settle_kept(state: Path, wanted: str) -> None:
    """Keep to where the artifacts are; a project that begins has them where its settings say.

    Raises
    ------
    ConflictError
        They are elsewhere, and have to be moved first.
    """
    now = artifact_place(state)
    if now == wanted:
        return
    if now != LOCAL or any((state / "models").glob("*.json")) or any((state / "snapshots").glob("*.parquet")):
        raise ConflictError(
            f"this project's artifacts are in {now}, and stores.artifacts says {wanted}: move them with "
            "`anew migrate`, or write the former again"
        )
    put_down(state, *settled(state), artifacts=wanted)


def move_kept(state: Path, wanted: str, told: Callable[[int, int], None] = uncounted) -> int:
    """Copy all artifacts and snapshots to where they are `wanted`, verified, and use them there; return how many.

    The caller sees that the project does not run. Copies stay where they were. Killed at any moment, the project uses
    the one or the other place, and the same call finishes. `told` hears how many are copied, and of how many.

    Raises
    ------
    IntegrityError
        One is not what was signed or stored; it has to be seen to, and the project uses the former place.
    UnavailableError
        The bucket does not answer.
    """
    count = fetch_kept(state)
    if wanted != LOCAL:
        artifacts, snapshots = _local_artifacts(state), LocalSnapshotStore(state / "snapshots")
        models = S3ArtifactStore(bucket=_models(wanted), copies=artifacts)
        rows = S3SnapshotStore(_snapshots(wanted), snapshots)
        uploads = [partial(models.upload, each) for each in artifacts.stored()]
        uploads += [partial(rows.upload, each) for each in snapshots.stored()]
        count = len(uploads)
        for done, upload in enumerate(uploads, 1):
            upload()
            told(done, count)
    if has_record(state):
        put_down(state, *settled(state), artifacts=wanted)
    return count


def fetch_kept(state: Path) -> int:
    """See that the project's folder has a verified copy of every artifact and snapshot; return how many there are."""
    place, artifacts = artifact_place(state), _local_artifacts(state)
    snapshots = LocalSnapshotStore(state / "snapshots")
    models: Sequence[str] = artifacts.stored()
    rows: Sequence[str] = snapshots.stored()
    if place != LOCAL:
        remote = S3ArtifactStore(bucket=_models(place), copies=artifacts)
        there = S3SnapshotStore(_snapshots(place), snapshots)
        models, rows = remote.stored(), there.stored()
        for digest in models:
            remote.get(digest)
        for address in rows:
            there.get(address)
    return len(models) + len(rows)


def count_kept(state: Path) -> int:
    """Return how many artifacts and snapshots there are, where they are; nothing is fetched or verified."""
    place = artifact_place(state)
    models, rows = _local_artifacts(state), LocalSnapshotStore(state / "snapshots")
    if place == LOCAL:
        return len(models.stored()) + len(rows.stored())
    there = S3SnapshotStore(_snapshots(place), rows).stored()
    return len(S3ArtifactStore(bucket=_models(place), copies=models).stored()) + len(there)


def damaged_kept(state: Path) -> Sequence[str]:
    """Read every byte of the artifacts and snapshots in the folder itself, and return what is wrong with which."""
    artifacts, snapshots = _local_artifacts(state), LocalSnapshotStore(state / "snapshots")
    found = list[str]()
    for store in (artifacts, snapshots):
        for name in store.stored():
            try:
                store.get(name)
            except NotFoundError:  # deleted since
                continue
            except IntegrityError as exc:
                found.append(str(exc))
    return found


def lost_kept(state: Path) -> Sequence[str]:
    """Return which artifacts and snapshots have copies here and are not in the bucket that they belong in.

    Somebody emptied it, or they were pruned on another machine. The bucket is listed, and nothing read.
    """
    place = artifact_place(state)
    if place == LOCAL:
        return ()
    artifacts, snapshots = _local_artifacts(state), LocalSnapshotStore(state / "snapshots")
    here = (*artifacts.stored(), *snapshots.stored())  # first: what is put meanwhile is there by then
    there = {
        *S3ArtifactStore(bucket=_models(place), copies=artifacts).stored(),
        *S3SnapshotStore(_snapshots(place), snapshots).stored(),
    }
    return [each for each in here if each not in there]


def _local_artifacts(state: Path, signer: Signer | None = None) -> LocalArtifactStore:
    verifier = Verifier.load(state / "keys") if signer is None else signer.verifier
    return LocalArtifactStore(root=state / "models", verifier=verifier, signer=signer)


def _models(place: str) -> S3Bucket:
    return S3Bucket(f"{place.rstrip('/')}/models")


def _snapshots(place: str) -> S3Bucket:
    return S3Bucket(f"{place.rstrip('/')}/snapshots")
