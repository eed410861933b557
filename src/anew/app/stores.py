"""The adapters of a project, opened: the one place where stores are chosen."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from anew.adapters._lake_s3 import S3Folder
from anew.adapters.delta_lake import DeltaLake
from anew.adapters.fact_reader import count_facts
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.review_db import ReviewDB
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.segment_reader import SegmentReader
from anew.adapters.signing import Signer
from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.computing import open_compute
from anew.app.kept import kept_artifacts, kept_snapshots, settle_kept
from anew.app.record import settle
from anew.app.record_place import record_place
from anew.app.settings import Settings
from anew.domain.errors import IntegrityError
from anew.ports.artifact import ArtifactStore
from anew.ports.compute import Compute
from anew.ports.snapshot import SnapshotStore

__all__ = [
    "OpenStores",
    "journal_folder",
    "journal_root",
    "open_lake",
    "open_stores",
    "review_file",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStores:
    """Everything that a live loop works on."""

    clock: SystemClock
    database: SQLDatabase
    log: SQLEventLog
    lease: SQLLease
    inbox: SQLInbox
    lake: DeltaLake
    journals: SegmentReader
    artifacts: ArtifactStore
    snapshots: SnapshotStore
    compute: Compute
    traffic: FileTraffic
    signer: Signer
    review: ReviewDB


@contextmanager
def open_stores(settings: Settings) -> Iterator[OpenStores]:
    """Open the project's stores, making what is not there, and close them at the end.

    Raises
    ------
    UnavailableError, IntegrityError, MissingExtraError
        A store cannot be used; the message says which and what to do.
    NotFoundError
        The project has begun, and its key is lost.
    """
    state = settings.state
    state.mkdir(mode=0o700, exist_ok=True)
    clock = SystemClock()
    with closing(settle(state, settings.policy.stores.database, settings.model)) as database:
        database.integrity_check()
        settle_kept(state, settings.policy.stores.artifacts)
        _refuse_overwriting(settings)
        with (
            closing(_lake(settings)) as lake,
            closing(ReviewDB(review_file(state))) as review,
            open_compute(settings) as compute,
        ):
            signer = _signer(state)
            yield OpenStores(
                clock=clock,
                database=database,
                log=SQLEventLog(database, clock=clock),
                lease=SQLLease(database, clock=database.lease_clock(clock)),
                inbox=SQLInbox(database, clock=clock),
                lake=lake,
                journals=SegmentReader(journal_root(state)),
                artifacts=kept_artifacts(state, signer),
                snapshots=kept_snapshots(state),
                compute=compute,
                traffic=FileTraffic(state, verifier=signer.verifier, signer=signer),
                signer=signer,
                review=review,
            )


def _signer(state: Path) -> Signer:
    """Read the project's key; only one that has done nothing yet gets a new one."""
    keys = state / "keys"
    signed = [*(state / "routing").glob("*.json"), *(state / "models").glob("*.json")]
    if signed or count_facts(record_place(state)):
        return Signer.load(keys)
    return Signer.load_or_create(keys)


@contextmanager
def open_lake(settings: Settings) -> Iterator[DeltaLake]:
    """Open the project's lake alone, to be read."""
    with closing(_lake(settings)) as lake:
        yield lake


def review_file(state: Path) -> Path:
    """Return where the queue of what people review is."""
    return state / "review.db"


def _lake(settings: Settings) -> DeltaLake:
    state, url = settings.state, settings.policy.stores.lake
    if url == "local":
        return DeltaLake(
            state / "lake", settings.columns, settings.model, state / "lake.db", rules=settings.label_rules
        )

    def folder(table: str) -> S3Folder:
        return S3Folder(S3Bucket(f"{url.rstrip('/')}/{table}"), state / "cache" / "lake" / table)

    return DeltaLake(folder, settings.columns, settings.model, state / "lake.db", rules=settings.label_rules)


def _refuse_overwriting(settings: Settings) -> None:
    """See that a bucket keeps the promise that commits and shipped journals rest on: nothing is put over another."""
    stores = settings.policy.stores
    for name, url in (("lake", stores.lake), ("replicas", stores.replicas)):
        if url.startswith("s3://") and not S3Bucket(url).refuses_overwriting():
            raise IntegrityError(
                f"stores.{name}: {url} overwrites what is there, whatever the put says (If-None-Match): what two "
                f"writers put would be lost unnoticed; use another store, or leave {name} out"
            )


def journal_folder(state: Path, worker: str) -> Path:
    """Return where the worker called `worker` keeps its journal."""
    return journal_root(state) / worker


def journal_root(state: Path) -> Path:
    """Return the folder of all journals."""
    return state / "journal"
