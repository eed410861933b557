"""The observation store as Delta tables, on the local disk or in a bucket: exactly once, and on the medium."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Any

import polars as pl

from anew.adapters._delta_file import FileReader
from anew.adapters._delta_log import TableLog
from anew.adapters._delta_repair import LakeRepair, in_order
from anew.adapters._delta_upkeep import LakeUpkeep
from anew.adapters._delta_writer import LakeWriter
from anew.adapters._lake_folder import LakeFolder, LocalFolder
from anew.adapters._lake_frame import RANGED_BY, history_frame, schema_of, shape_of
from anew.adapters._lake_mark import Bound, Intent, LakeMark, StoredFile
from anew.adapters._lake_read import about, at_version, feedback_of, labelled_rows, labels_of, within
from anew.adapters.lake_batch import pack, prepare
from anew.adapters.local_disk import LocalDisk
from anew.domain.column import Columns
from anew.domain.errors import ConflictError, IntegrityError
from anew.domain.interval import Interval
from anew.domain.observation import Observation, id_prefix
from anew.feedback.join import LabelRules, one_per_id
from anew.ports.disk import Disk
from anew.ports.journal import JournalReader
from anew.ports.lake import PreparedBatch

__all__ = ["DeltaLake"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)

SMALL_FILES = 8
"""Fewest neighbouring small files that are worth being made one."""


class DeltaLake:
    """Keeps predictions, labels, feedback and history as Delta tables under `root`; see `anew.ports.lake.Lake`.

    Thread-safe. One process writes, any may read. Reads use the mark's index of files: cost grows with the span.
    Every file is verified by its digest before its first read in a process; damage raises IntegrityError, fewer rows
    are never returned.

    Parameters
    ----------
    root
        Folder of the tables, or what gives each table's by its name; any Delta reader can read them.
    columns
        The row contract; a lake that was made for another is refused.
    model
        Name of the model; likewise.
    marks
        The SQLite file with the high-water mark, e.g. ``.anew/lake.db``.
    rules
        Which of several labels counts; may be set anew at any time.
    file_rows
        Rows that a file is filled up to by `compact` and by imports.
    """

    def __init__(
        self,
        root: Path | Callable[[str], LakeFolder],
        columns: Columns,
        model: str,
        marks: Path,
        *,
        disk: Disk | None = None,
        rules: LabelRules = LabelRules(),  # noqa: B008  frozen
        file_rows: int = 200_000,
    ) -> None:
        self._columns = columns
        self.rules = rules
        self._file_rows = file_rows
        self._schemas = schema_of(columns)
        folder = root if callable(root) else _on_disk(root, LocalDisk() if disk is None else disk)
        self._logs = {t: TableLog(folder(t), ranged_by=by) for t, by in RANGED_BY.items()}
        self._readers = {t: FileReader(self._logs[t].folder, schema) for t, schema in self._schemas.items()}
        place = "local" if isinstance(root, Path) else folder("").url
        self._mark = LakeMark(marks, model=model, schema=shape_of(columns), place=place)
        self._writer = LakeWriter(self._mark, self._logs, self._schemas, marks.with_suffix(".lock"))
        self._lock = RLock()

    def close(self) -> None:
        """Close the mark, and let other processes write."""
        with self._lock:
            self._writer.close()
            self._mark.close()

    def drained(self, journal: str) -> int:
        """Return the journal position up to which observations are stored, 0 for none."""
        return self._mark.position(journal)

    def append(self, journal: str, position: int, observations: Sequence[Observation]) -> int:
        """Store a batch read from `journal` after its drained position, ending at `position`; returns its rows."""
        with self._lock:
            before = self._rows_stored()
            finished = self._writer.ready()
            drained = self._mark.position(journal)
            if position <= drained:
                return self._rows_stored() - before  # none, or those of this batch, which had been cut off
            if finished:
                raise ConflictError(f"an interrupted change was finished; read again, {journal} after {drained}")
            return self._store(self.prepare(journal, position, observations, after=drained))

    def prepare(self, journal: str, position: int, observations: Sequence[Observation], *, after: int) -> PreparedBatch:
        """Do the part of `append` that costs most and changes nothing."""
        return prepare(self._columns, journal, position, observations, after=after)

    def commit(self, batch: PreparedBatch) -> int:
        """Store a batch that was prepared for this lake, here or by another process; returns its rows."""
        with self._lock:
            if self._writer.ready():
                raise ConflictError(f"an interrupted change was finished; look where {batch.journal} stands, try again")
            drained = self._mark.position(batch.journal)
            if drained != batch.after:
                raise ConflictError(
                    f"journal {batch.journal} was read after {batch.after} and is stored up to {drained}; read again"
                )
            return self._store(batch)

    def _store(self, batch: PreparedBatch) -> int:
        """Store under the lock: nothing else changes the counts meanwhile."""
        before = self._rows_stored()
        intent = Intent(
            changes=(),
            journal=batch.journal,
            after=batch.after,
            position=batch.position,
            observations=batch.observations,
        )
        self._writer.change(batch.tables, app=f"anew-{batch.journal}", intent=intent)
        return self._rows_stored() - before

    def _rows_stored(self) -> int:
        return sum(self.counts().values())

    def import_history(self, frame: pl.DataFrame, *, source: str) -> int:
        """Store labelled rows from before anew served, once per `source`; returns the rows stored now."""
        rows = history_frame(self._columns, frame).sort("_at", maintain_order=True)
        key = _history_key(source)
        with self._lock:
            if not rows.height or self.imported(source):
                return 0
            self._writer.ready()
            if self.imported(source):
                return 0  # a crash had cut it off, and it was finished
            intent = Intent(changes=(), journal=key, position=1)
            self._writer.change({"history": pack("history", rows)}, app=f"anew-{key}", intent=intent)
        return rows.height

    def imported(self, source: str) -> bool:
        """Were rows of `source` stored by `import_history`?"""
        return self._mark.position(_history_key(source)) > 0

    def versions(self) -> Mapping[str, int]:
        """Return the present version of each Delta table."""
        return {table: self._mark.version(table) or 0 for table in RANGED_BY}

    def predictions(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Return the predictions of `span` by event time, ordered by (_at, _id), one row per id."""
        return one_per_id(self._span("predictions", span, versions))

    def labels(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Return the last label of each prediction whose event time lies in `span`, ordered by prediction."""
        return self._labels(self.predictions(span, versions=versions), versions)

    def feedback(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Return the feedback on predictions of `span`, each delivery once, ordered by (_prediction, _at, _id)."""
        ids = self.predictions(span, versions=versions).get_column("_id")
        if ids.is_empty():
            return pl.DataFrame(schema=self._schemas["feedback"])
        return feedback_of(ids, self._read("feedback", str(ids.min()), str(ids.max()), versions))

    def fresh(self, table: str, *, after: int, upto: int, until: datetime | None = None) -> pl.DataFrame:
        """Return the rows of `table` that came with its versions above `after` up to `upto`."""
        end: Any = None
        if until is not None:
            end = (until - _EPOCH) // _MICRO if RANGED_BY[table] == "_at" else id_prefix(until)
        return self._rows(
            table,
            lambda: [f for f in self._mark.arrived(table, after, upto) if end is None or f.low < end],
        )

    def deliveries(self, span: Interval, ids: pl.Series) -> pl.DataFrame:
        """Return all labels about the predictions `ids` of `span`, and about other ids of that time."""
        low, high, where = about(span, ids)
        return self._read("labels", low, high, None, where)

    def labelled(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Return history and joined predictions of `span`, in time order: features, _at, _label."""
        predictions = self.predictions(span, versions=versions)
        history = self._span("history", span, versions)
        return labelled_rows(self._columns, history, predictions, self._labels(predictions, versions))

    def counts(self) -> Mapping[str, int]:
        """Return the rows stored in each table."""
        return {table: self._mark.rows(table) for table in RANGED_BY}

    def verify(self, seen: Callable[[], None] = lambda: None) -> Sequence[str]:
        """Read every commit and every file and compare them with the mark; return one sentence per damage.

        `seen` is called after each file, for whoever has to say that it is alive.
        """
        with self._lock:
            return self._repair().verify(seen)

    def rebuild(self, journals: JournalReader, seen: Callable[[], None] = lambda: None) -> Sequence[str]:
        """Repair commits from their copies, files from `journals` or from what they were compacted from."""
        with self._lock:
            self._writer.own()
            repair = self._repair()
            repair.rebuild(journals, seen)
            if repair.left:
                raise IntegrityError("\n".join(repair.left))
            return repair.done

    def compact(self) -> int:
        """Make few large files of many small ones that are neighbours in time; returns how many were replaced.

        Rows and what old versions read stay as they are, and no file is deleted.
        """
        replaced = 0
        if self._empty:
            return replaced
        with self._lock:
            self._writer.ready()
            for table in ("predictions", "labels", "feedback"):
                for group in self._groups(table):
                    rows = self._readers[table].read(group)
                    self._writer.replace(table, tuple(group), in_order(rows, RANGED_BY[table]), app="anew-compact")
                    replaced += len(group)
        return replaced

    def expire(self, before: datetime) -> int:
        """Take files of nothing but rows from before an instant out of the tables; returns the rows in them.

        What reads an old version still finds them, until `vacuum`.
        """
        if self._empty:
            return 0
        with self._lock:
            self._writer.ready()
            return self._upkeep().expire(before)

    def vacuum(self, pinned: Mapping[str, Collection[int]], *, after: Mapping[str, int] | None = None) -> int:
        """Delete the files that neither the present nor one of the `pinned` versions of a table has; returns how many.

        Versions that are not pinned may be refused from then on; none of them ever reads fewer rows. What versions from
        `after` on have stays too: somebody may be reading them.
        """
        if self._empty:
            return 0
        with self._lock:
            self._writer.ready()
            return self._upkeep().vacuum(pinned, after or {})

    def look(self) -> str:
        """Return what `note_look` noted last, by whichever process; empty before the first."""
        return self._mark.look()

    def note_look(self, said: str) -> None:
        """Note a look for what is too old beside the tables, with which it is backed up and restored."""
        self._mark.note_look(said)

    def purge(self, key: str) -> tuple[Mapping[str, int], frozenset[str]]:
        """Erase all rows of one key, in every version; returns the rows by table, and the ids of the predictions."""
        with self._lock:
            self._writer.ready()
            return self._upkeep().purge(key)

    def having(self, key: str) -> Mapping[str, int]:
        """Return how many rows of each table, as it is now, are of one key; for whoever reads alone, too."""
        return {} if self._empty else self._upkeep().having(key, self._rows)

    @property
    def _empty(self) -> bool:
        """Are there no tables yet? Upkeep makes none, since they settle the columns."""
        return self._mark.version("predictions") is None

    def _upkeep(self) -> LakeUpkeep:
        return LakeUpkeep(self._mark, self._logs, self._readers, self._writer)

    def _groups(self, table: str) -> Iterator[Sequence[StoredFile]]:
        group: list[StoredFile] = []
        rows = 0
        for file in self._mark.live(table):
            if 2 * file.rows > self._file_rows:
                continue
            if rows + file.rows > self._file_rows:
                if len(group) >= SMALL_FILES:
                    yield group
                group, rows = [], 0
            group.append(file)
            rows += file.rows
        if len(group) >= SMALL_FILES:
            yield group

    def _repair(self) -> LakeRepair:
        return LakeRepair(self._mark, self._logs, self._readers, self._columns)

    def _labels(self, predictions: pl.DataFrame, versions: Mapping[str, int] | None) -> pl.DataFrame:
        ids = predictions["_id"]
        if ids.is_empty():
            return pl.DataFrame(schema=self._schemas["labels"])
        rows = self._read("labels", str(ids.min()), str(ids.max()), versions)
        return labels_of(predictions, rows, self.rules)

    def _span(self, table: str, span: Interval, versions: Mapping[str, int] | None) -> pl.DataFrame:
        low, high = ((at - _EPOCH) // _MICRO for at in (span.start, span.end))
        return self._read(table, low, high - 1, versions, within(span))

    def _read(
        self,
        table: str,
        low: Bound,
        high: Bound,
        versions: Mapping[str, int] | None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        def found() -> Sequence[StoredFile]:
            if table not in (versions or ()):
                return self._mark.present(table, low, high)
            version = at_version(table, self._mark.version(table) or 0, versions)
            return self._mark.files(table, version, low, high)

        return self._rows(table, found, where)

    def _rows(
        self, table: str, found: Callable[[], Sequence[StoredFile]], where: pl.Expr | None = None
    ) -> pl.DataFrame:
        """Return the rows of the files that are `found`, looked for again when one of them was erased meanwhile."""
        files = found()
        while True:
            try:
                return self._readers[table].read(files, where)
            except IntegrityError:
                before, files = files, found()
                if set(before) <= set(files):
                    raise


def _history_key(source: str) -> str:
    return f"history/{hashlib.sha256(source.encode()).hexdigest()[:32]}"


def _on_disk(root: Path, disk: Disk) -> Callable[[str], LakeFolder]:
    return lambda table: LocalFolder(root / table, disk)
