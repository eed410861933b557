"""The one writer of a lake of Delta tables: makes changes that a crash cannot halve."""

import fcntl
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from anew.adapters._delta_file import damage_of, store
from anew.adapters._delta_log import Standing, TableLog, digest_of
from anew.adapters._lake_frame import Schema
from anew.adapters._lake_mark import Change, Intent, LakeMark, StoredFile
from anew.adapters.lake_batch import pack
from anew.domain.boundary import reach
from anew.domain.errors import AnewError, ConflictError, IntegrityError, UnavailableError
from anew.ports.lake import PackedRows

__all__ = ["LakeWriter"]

CHECKPOINT_EVERY = 50
"""Commits between checkpoints: opening a table replays the commits since the newest, about 0.3 ms each."""


class LakeWriter:
    """Writes tables under their mark. Not thread-safe; a lock file keeps other processes out.

    Order of a change: files written and synced; the intent on record; each table's commit, made once by its app
    transaction, and synced; the mark moved and the intent ended in one transaction. `ready` finishes what a crash cut.
    """

    def __init__(self, mark: LakeMark, logs: Mapping[str, TableLog], schemas: Mapping[str, Schema], lock: Path) -> None:
        self._mark = mark
        self._logs = logs
        self._schemas = schemas
        self._lock = lock
        self._held: int | None = None
        self._settled = False

    def close(self) -> None:
        """Let other processes write."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def own(self) -> None:
        """Take the right to write for this process.

        Raises
        ------
        ConflictError
            Another process has it.
        SchemaError
            The tables have other columns.
        """
        if self._held is not None:
            return
        held = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(held)
            raise ConflictError(f"another process writes to the lake and holds {self._lock}; stop it first") from exc
        self._held = held
        self._mark.check_columns()  # the one before may have made the tables since this lake was opened

    def ready(self) -> bool:
        """Make sure that every table stands at its mark; return whether a change that was cut off was finished.

        Raises
        ------
        IntegrityError
            A table is behind or beside its mark.
        """
        self.own()
        self._make_tables()
        intent = self._mark.intent()
        begun = {change.table: change for change in intent.changes} if intent else {}
        for table, log in self._logs.items():
            if not self._settled:
                log.drop_checkpoints(above=self._mark.checkpoint(table)[0])
                named = {f.path for f in begun[table].added} if table in begun else ()
                log.sweep(above=self._mark.version(table) or 0, but=named)
            self._settle(table, log, begun.get(table))
        self._settled = True
        return intent is not None and self._resume(intent)

    def _make_tables(self) -> None:
        for table, log in self._logs.items():
            if self._mark.version(table) is None:
                commit = log.create(self._schemas[table])
                self._mark.made(table, commit, digest_of(commit))

    def _settle(self, table: str, log: TableLog, begun: Change | None) -> None:
        """Compare the newest commit with the mark, and look at what lies above it."""
        version = self._mark.version(table) or 0
        ((_, digest, _),) = self._mark.commits(table, after=version - 1)
        if digest_of(log.content(version) or b"") != digest:
            raise IntegrityError(
                f"table {log.folder.url}: the commit of version {version} is not the one that was stored; "
                "`anew doctor` says what to do"
            )
        if self._settled and log.content(version + 1) is None:
            return
        for above in [v for v in log.present() if v > version]:
            standing = log.standing(above, begun)
            if standing is Standing.FOREIGN:
                raise IntegrityError(
                    f"table {log.folder.url}: another program wrote version {above}, the mark is at {version}; "
                    "a lake has one writer: stop the other and move its commits away"
                )
            if standing is Standing.BROKEN:
                log.folder.set_aside(log.name(above))

    def _resume(self, intent: Intent) -> bool:
        damaged = [
            f"{f.path} {damage}"
            for c in intent.changes
            for f in c.added
            if (damage := damage_of(self._logs[c.table].folder, f))
        ]
        if not damaged:
            self._finish(intent)
            return True
        if not self._withdraw(intent):
            raise IntegrityError(
                f"an interrupted change cannot be finished: {'; '.join(damaged)}; `anew doctor` says what to do"
            )
        return False

    def change(self, tables: Mapping[str, PackedRows], *, app: str, intent: Intent) -> None:
        """Append rows to their tables as `intent`, which has no changes yet, describes; call `ready` before.

        Raises
        ------
        UnavailableError
            Nothing was stored, unless the disk failed between two tables; then `ready` finishes it.
        """
        changes: list[Change] = []
        try:
            for table, packed in tables.items():
                version = (self._mark.version(table) or 0) + 1
                added = store(self._logs[table], packed, version=version)
                changes.append(Change(table=table, version=version, app=app, number=intent.position, added=(added,)))
        except AnewError:
            self._drop_files(changes)
            raise
        self.make(replace(intent, changes=tuple(changes)))

    def replace(self, table: str, removed: tuple[StoredFile, ...], frame: pl.DataFrame | None, *, app: str) -> None:
        """Put one file with the rows `frame`, or none, in the place of `removed`; these stay for old versions."""
        version = (self._mark.version(table) or 0) + 1
        added = () if frame is None else (store(self._logs[table], pack(table, frame), version=version),)
        change = Change(table=table, version=version, app=app, number=version, added=added, removed=removed)
        self.make(Intent(changes=(change,)))

    def make(self, intent: Intent) -> None:
        """Do what `intent` says; its files are stored already."""
        try:
            reach("lake.files_stored")
            self._mark.begin(intent)
            reach("lake.intent_stored")
            self._finish(intent)
        except UnavailableError:
            self._withdraw(intent)
            raise
        for change in intent.changes:
            self._checkpoint(change)

    def _finish(self, intent: Intent) -> None:
        commits: dict[str, tuple[bytes, str]] = {}
        for change in intent.changes:
            content = self._logs[change.table].commit(change)
            reach("lake.commit_stored")
            if self._logs[change.table].standing(change.version, change) is not Standing.OURS:
                raise IntegrityError(f"version {change.version} of {change.table} does not read back as it was written")
            commits[change.table] = content, digest_of(content)
        self._mark.end(intent, commits)
        reach("lake.mark_moved")

    def _withdraw(self, intent: Intent) -> bool:
        """Undo an intent of which no commit was made; False when one was, or when even that does not work now."""
        if any(self._logs[c.table].content(c.version) is not None for c in intent.changes):
            return False
        try:
            self._mark.forget()
        except AnewError:
            return False
        self._drop_files(intent.changes)
        return True

    def _drop_files(self, changes: Iterable[Change]) -> None:
        for change in changes:
            for file in change.added:
                self._logs[change.table].folder.remove(file.path)

    def _checkpoint(self, change: Change) -> None:
        newest, _ = self._mark.checkpoint(change.table)
        if change.version - newest < CHECKPOINT_EVERY:
            return
        log = self._logs[change.table]
        try:
            self._mark.checkpointed(change.table, change.version, log.make_checkpoint(change.version))
        except UnavailableError:
            # A checkpoint only saves time: without it the next one is tried after the next commit.
            log.drop_checkpoints(above=newest)
