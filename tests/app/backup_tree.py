"""A project to be backed up, and what its backup may leave out."""

from fnmatch import fnmatch
from pathlib import Path

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.signing import Signer
from anew.app.backup_manifest import Manifest
from anew.app.settings import load
from anew.app.stores import journal_folder, open_stores
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.domain.observation import Answer, Prediction
from anew.loop.drain import Drainer
from anew.ports.review import ReviewItem
from tests.cli.recorded import AT, write_record

__all__ = ["MADE_AGAIN", "STORED", "WAITING", "left_out", "publish", "write_kept"]

STORED, WAITING = 30, 12

MADE_AGAIN = {
    "*.db-wal": "belongs to a database that is copied with what its log has",
    "*.db-shm": "as its log",
    "*.lock": "held by a process, and empty or its id",
    "journal/*/lock": "of the gateway that writes this journal",
    "dbos.db": "checkpoints of effects that are under way; the record says which have to be run again",
    "jobs/*": "jobs under way and their logs; what they made is an artifact, a snapshot or on record",
    "orders/*": "what jobs were told; made again with the job",
    "logs/*": "logs",
    "workers/*": "what living gateways say of themselves",
    "run/control": "the heartbeat of the loop",
    "run/holder": "who runs the loop",
    "run/marks/*": "in whose code living gateways are",
    "run/loop.json": "how the loop does",
    "run/dashboard.json": "where the dashboard listens",
    "access/ended.json": "sessions that were signed out of; without it none is good",
    "project.id": "tells this folder from others to a server; a restored project has its record in a file",
    "access/session.key": "signs the dashboard's sessions; a new key asks everybody to sign in again",
    "backtest/*": "losses that were computed from snapshots",
    "record.json": "says that the record is on a server, or artifacts in a bucket; a backup has them as files",
    "backup.json": "where the last backup went",
}
"""Patterns of paths in ``.anew``, and why no backup needs them. Whatever else a project keeps has to be in it."""


def left_out(state: Path, made: Manifest) -> list[str]:
    """Return the files of `state` that are neither in the backup nor made again."""
    there = [path.relative_to(state).as_posix() for path in sorted(state.rglob("*")) if not path.is_dir()]
    missing = [name for name in there if f"state/{name}" not in made.files]
    return [name for name in missing if not any(fnmatch(name, pattern) for pattern in MADE_AGAIN)]


def write_kept(folder: Path) -> Path:
    """Write a project with a record, an artifact, rows in the lake and rows that only the journal has."""
    made = write_record(folder / "small")
    settings = load(made)
    artifact = folder / "artifact"
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
    publish(made, 1)
    return made


def _prediction(number: int) -> Prediction:
    return Prediction(
        id=f"{number:032x}", model="small", at=AT, received_at=AT, key=str(number), version="v1", epoch=1,
        arm="champion", row={"x": float(number), "z": 0.0}, answer=Answer(output=1, proba=(0.5, 0.5)), latency_us=1,
    )  # fmt: skip


def publish(project: Path, epoch: int) -> None:
    """Publish routing to v1, which is the one artifact there."""
    signer = Signer.load_or_create(project / ".anew" / "keys")
    (digest,) = LocalArtifactStore(root=project / ".anew" / "models", verifier=signer.verifier).stored()
    routing = TrafficShifted(model="small", at=AT, epoch=epoch, stage=Stage.STEADY, share=0.0, champion=("v1", digest))
    FileTraffic(project / ".anew", verifier=signer.verifier, signer=signer).publish(routing)
