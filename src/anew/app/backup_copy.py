"""The copying of a project's stores while others write to them, in the order that makes the copies one state.

What people said must be in the queue of their review or in the lake, and what the queue calls told or stored must be on
record, so the queue is copied first. What the record says must be in the lake, so the record is next. What the lake
lacks must be in the journals, so these are copied after its mark. What gateways obey must be on record, so the routing
has to stand still while the record is copied.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.adapters.postgres_link import Place
from anew.adapters.segment_reader import SegmentReader, segments
from anew.adapters.sql_copy import copy_record
from anew.adapters.sql_database import open_database
from anew.adapters.sqlite_copy import copy_database
from anew.app.backup_manifest import copy_file, digest_file
from anew.app.kept import fetch_kept
from anew.app.record import open_record
from anew.app.record_place import record_place
from anew.app.stores import review_file
from anew.domain.errors import ConflictError, IntegrityError
from anew.domain.facts import TrafficOrdered, TrafficShifted
from anew.loop.progress import Counting, uncounting

__all__ = ["ACCESS", "BackupCopy", "record_epoch"]

_TRIES = 20
ACCESS = ("access/tokens.json", "access/users.json")
"""Who may use the project."""
_WRITTEN_ONCE = ("models", "snapshots", "profiles", "purge", "run/accepted")
"""Folders of `.anew` that are copied as they are; the rest goes by name, or can be made again."""
_ROUTED = (TrafficShifted.__name__, TrafficOrdered.__name__)
_MOST = 50_000


@dataclass(slots=True, kw_only=True)
class BackupCopy:
    """Copies from the ``.anew`` folder `state` into `target`; `files` has the digest of every copy by its path.

    `counting` hears how far the copying of the lake is, which is most of it.
    """

    state: Path
    target: Path
    files: dict[str, str] = field(default_factory=dict)
    counting: Counting = uncounting

    def file(self, name: str, *, size: int | None = None) -> str:
        """Copy a file, or its first `size` bytes."""
        self.files[f"state/{name}"] = digest = copy_file(self.state / name, self.target / name, size=size)
        return digest

    def review(self) -> None:
        """Copy the queue of what people review, with their answers."""
        file = review_file(self.state)
        if file.is_file():
            self._database(file.name)

    def record(self) -> None:
        """Copy what the sinks were told, the routing, and the record, between which no routing was published.

        Raises
        ------
        ConflictError
            Routing after routing was published; try again.
        """
        for _ in range(_TRIES):
            self._folder("told")
            self._folder("routing")
            self._record()
            copied = {path for path in self.files if path.startswith("state/routing/")}
            there = {f"state/routing/{inside}" for inside in self._plain("routing")}
            if copied == there and all(map(self._same, copied)):
                return
            self._forget("told", "routing")
        raise ConflictError("the traffic was shifted again and again meanwhile; make the backup a minute later")

    def data(self) -> Mapping[str, int]:
        """Copy the lake's mark and files, and the journals; return rows stored and rows that wait.

        Raises
        ------
        IntegrityError
            A file of the lake is not the one that was stored.
        ConflictError
            The lake was compacted or trimmed again and again; try again.
        """
        before: Mapping[str, int] | None = None
        for _ in range(_TRIES):
            mark = self._database("lake.db")
            positions, stored = _marked(mark)
            try:
                waiting = self._journals(positions)
                self._lake(mark)
            except (FileNotFoundError, IntegrityError) as exc:
                # Trimmed or deleted since the mark was copied? Then the mark has moved on.
                if isinstance(exc, IntegrityError) and positions == before:
                    raise
                before = positions
                self._forget("journal", "lake")
            else:
                return {"stored": stored, "waiting": waiting}
        raise ConflictError("the lake changed again and again meanwhile; make the backup a minute later")

    def rest(self, *, secrets: bool) -> None:
        """Copy keys, tokens, what is written once, and artifacts and snapshots, from a bucket if they are in one."""
        self.file("keys/signing.pub")
        if secrets:
            self.file("keys/signing.key")
            for name in ACCESS:
                if (self.state / name).is_file():
                    self.file(name)
        fetch_kept(self.state)
        for name in _WRITTEN_ONCE:
            self._folder(name)
        # What the mirror remembers as shown has to be in the local MLflow, which is therefore copied after it.
        self._folder("mirror")
        if (self.state / "mlflow.db").is_file():
            self._database("mlflow.db")
        self._folder("mlflow")

    def _plain(self, name: str) -> Iterator[str]:
        """Yield the paths of the plain files in a folder, from there, but for those that are being written."""
        for path in sorted((self.state / name).rglob("*")):
            inside = path.relative_to(self.state / name)
            unfinished = any(part.startswith(".") for part in inside.parts) or path.suffix in (".part", ".lock")
            if not path.is_symlink() and path.is_file() and not unfinished:
                yield inside.as_posix()

    def _folder(self, name: str) -> None:
        """Copy the plain files in a folder; one that has just been deleted is left out."""
        for inside in self._plain(name):
            try:
                self.file(f"{name}/{inside}")
            except FileNotFoundError:
                continue

    def _record(self) -> None:
        """Copy the record into a file, from the server where there is one: a backup needs nothing but itself."""
        if isinstance(record_place(self.state), Path):
            self._database("anew.db")
            return
        target = self.target / "anew.db"
        target.unlink(missing_ok=True)
        with closing(open_record(self.state)) as server, closing(open_database(target)) as file:
            copy_record(server, file)
        with closing(sqlite3.connect(target)) as closed:
            closed.execute("PRAGMA journal_mode=DELETE")  # or whoever reads it would leave a log beside it
        self.files["state/anew.db"] = digest_file(target)

    def _database(self, name: str) -> Path:
        target = self.target / name
        target.unlink(missing_ok=True)
        copy_database(self.state / name, target)
        self.files[f"state/{name}"] = digest_file(target)
        return target

    def _same(self, path: str) -> bool:
        try:
            return digest_file(self.state / path.removeprefix("state/")) == self.files[path]
        except FileNotFoundError:
            return False

    def _forget(self, *names: str) -> None:
        for name in names:
            shutil.rmtree(self.target / name, ignore_errors=True)
            for path in [path for path in self.files if path.startswith(f"state/{name}/")]:
                del self.files[path]

    def _journals(self, positions: Mapping[str, int]) -> int:
        """Copy the segments as far as they are written; return the observations above the lake's mark."""
        reader = SegmentReader(self.state / "journal")
        for name in reader.journals():
            for path in segments(self.state / "journal" / name):
                self.file(f"journal/{name}/{path.name}", size=reader.written(path))
        copied, waiting = SegmentReader(self.target / "journal"), 0
        for name in copied.journals():
            after = positions.get(name, 0)
            while (batch := copied.read(name, after=after, most=_MOST)).position > after:
                waiting, after = waiting + len(batch.observations), batch.position
        return waiting

    def _lake(self, mark: Path) -> None:
        """Copy what the mark has, and nothing that came later; every digest is compared with it."""
        with closing(sqlite3.connect(mark)) as connection:
            files = connection.execute("SELECT tab, path, sha256 FROM files WHERE NOT gone").fetchall()
            commits = connection.execute("SELECT tab, version, sha256 FROM commits").fetchall()
            tables = connection.execute("SELECT name, checkpoint, checkpoint_sha256 FROM tables").fetchall()
        expected = {f"lake/{table}/{path}": sha256 for table, path, sha256 in files}
        expected |= {f"lake/{table}/_delta_log/{version:020d}.json": sha256 for table, version, sha256 in commits}
        expected |= {
            f"lake/{table}/_delta_log/{version:020d}.checkpoint.parquet": sha256
            for table, version, sha256 in tables
            if version >= 0
        }
        told = self.counting("files of the lake copied")
        for done, (name, sha256) in enumerate(expected.items(), 1):
            if self.file(name) != sha256:
                raise IntegrityError(
                    f"{name} is not what was stored; let anew up repair the lake (anew doctor says more), then back up"
                )
            told(done, len(expected))
        for table, version, _ in tables:
            pointer = f"lake/{table}/_delta_log/_last_checkpoint"
            if version >= 0 and (self.state / pointer).is_file() and _points_to(self.state / pointer) == version:
                self.file(pointer)


def record_epoch(database: Place) -> int:
    """Return the epoch of the newest routing or order on record."""
    epochs = [each.fact for each in read_facts(database, kinds=_ROUTED)]
    return max((each.epoch for each in epochs if isinstance(each, TrafficShifted | TrafficOrdered)), default=0)


def _marked(mark: Path) -> tuple[Mapping[str, int], int]:
    with closing(sqlite3.connect(mark)) as connection:
        positions = dict(connection.execute("SELECT journal, position FROM positions").fetchall())
        (stored,) = connection.execute(
            "SELECT COALESCE(SUM(rows), 0) FROM tables WHERE name IN ('predictions', 'labels', 'feedback')"
        ).fetchone()
    return positions, int(stored)


def _points_to(pointer: Path) -> int:
    try:
        return int(json.loads(pointer.read_bytes())["version"])
    except (ValueError, KeyError, TypeError):
        return -1
