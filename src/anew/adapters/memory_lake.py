"""A lake in memory: for replay, backtests and tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from anew.adapters._lake_frame import RANGED_BY, frames, history_frame, schema_of
from anew.adapters._lake_read import about, at_version, feedback_of, labelled_rows, labels_of, within
from anew.adapters.lake_batch import prepare, unpack
from anew.domain.column import Columns
from anew.domain.errors import ConflictError
from anew.domain.interval import Interval
from anew.domain.observation import Observation, id_prefix
from anew.feedback.join import LabelRules, one_per_id
from anew.ports.journal import JournalReader
from anew.ports.lake import PreparedBatch

__all__ = ["MemoryLake"]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows stored by one commit, and the least and greatest value of the column that reads select by."""

    frame: pl.DataFrame
    low: Any
    high: Any


class MemoryLake:
    """Keeps the tables as lists of frames; a table's version is the number of its commits. Not thread-safe.

    A read looks only into the frames whose range of instants (labels: of prediction ids) meets what is asked, so its
    cost grows with the span, not with history.
    """

    def __init__(self, columns: Columns, rules: LabelRules = LabelRules()) -> None:  # noqa: B008  frozen
        self._columns = columns
        self.rules = rules
        self._schemas = schema_of(columns)
        self._chunks: dict[str, list[_Chunk]] = {table: [] for table in RANGED_BY}
        self._drained: dict[str, int] = {}
        self._sources: set[str] = set()

    def drained(self, journal: str) -> int:
        """Return the journal position up to which observations are stored, 0 for none."""
        return self._drained.get(journal, 0)

    def append(self, journal: str, position: int, observations: Sequence[Observation]) -> int:
        """Store a batch, unless its position is drained already; returns its rows."""
        if position <= self.drained(journal):
            return 0
        return self._store(journal, position, frames(self._columns, observations))

    def prepare(self, journal: str, position: int, observations: Sequence[Observation], *, after: int) -> PreparedBatch:
        """Do the part of `append` that changes nothing."""
        return prepare(self._columns, journal, position, observations, after=after)

    def commit(self, batch: PreparedBatch) -> int:
        """Store a batch that was prepared for this lake; returns its rows."""
        drained = self.drained(batch.journal)
        if drained != batch.after:
            raise ConflictError(
                f"journal {batch.journal} was read after {batch.after} and is stored up to {drained}; read again"
            )
        found = {table: unpack(packed) for table, packed in batch.tables.items()}
        return self._store(batch.journal, batch.position, found)

    def _store(self, journal: str, position: int, rows: Mapping[str, pl.DataFrame]) -> int:
        for table, frame in rows.items():
            self._add(table, frame)
        self._drained[journal] = position
        return sum(frame.height for frame in rows.values())

    def import_history(self, frame: pl.DataFrame, *, source: str) -> int:
        """Store labelled rows from before anew served, once per `source`; returns the rows stored now."""
        if source in self._sources:
            return 0
        rows = history_frame(self._columns, frame)
        self._add("history", rows)
        self._sources.add(source)
        return rows.height

    def imported(self, source: str) -> bool:
        """Were rows of `source` stored by `import_history`?"""
        return source in self._sources

    def versions(self) -> Mapping[str, int]:
        """Return the number of commits of each table."""
        return {table: len(chunks) for table, chunks in self._chunks.items()}

    def predictions(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Return the predictions of `span` by event time, ordered by (_at, _id), one row per id."""
        rows = self._read("predictions", span.start, span.end, versions)
        return one_per_id(rows.filter(within(span)))

    def labels(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Return the last label of each prediction whose event time lies in `span`, ordered by prediction."""
        return self._labels(self.predictions(span, versions=versions), versions)

    def feedback(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Return the feedback on predictions of `span`, each delivery once, ordered by (_prediction, _at, _id)."""
        ids = self.predictions(span, versions=versions).get_column("_id")
        return feedback_of(ids, self._read("feedback", ids.min(), ids.max(), versions))

    def fresh(self, table: str, *, after: int, upto: int, until: datetime | None = None) -> pl.DataFrame:
        """Return the rows of `table` that came with its versions above `after` up to `upto`."""
        end = None if until is None else until if RANGED_BY[table] == "_at" else id_prefix(until)
        met = [chunk.frame for chunk in self._chunks[table][after:upto] if end is None or chunk.low < end]
        return pl.concat(met) if met else pl.DataFrame(schema=self._schemas[table])

    def deliveries(self, span: Interval, ids: pl.Series) -> pl.DataFrame:
        """Return all labels about the predictions `ids` of `span`, and about other ids of that time."""
        low, high, where = about(span, ids)
        return self._read("labels", low, high, None).filter(where)

    def labelled(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> pl.DataFrame:
        """Return history and joined predictions of `span`, in time order: features, _at, _label."""
        rows = self._read("history", span.start, span.end, versions).filter(within(span))
        predictions = self.predictions(span, versions=versions)
        return labelled_rows(self._columns, rows, predictions, self._labels(predictions, versions))

    def counts(self) -> Mapping[str, int]:
        """Return the rows stored in each table."""
        return {table: sum(chunk.frame.height for chunk in chunks) for table, chunks in self._chunks.items()}

    def verify(self, seen: Callable[[], None] = lambda: None) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """Memory has no marks to compare with: nothing to say."""
        return ()

    def rebuild(
        self,
        journals: JournalReader,  # noqa: ARG002 - the port's signature
        seen: Callable[[], None] = lambda: None,  # noqa: ARG002 - the port's signature
    ) -> Sequence[str]:
        """Nothing in memory needs repair."""
        return ()

    def _labels(self, predictions: pl.DataFrame, versions: Mapping[str, int] | None) -> pl.DataFrame:
        ids = predictions["_id"]
        return labels_of(predictions, self._read("labels", ids.min(), ids.max(), versions), self.rules)

    def _add(self, table: str, frame: pl.DataFrame) -> None:
        if frame.height:
            by = frame[RANGED_BY[table]]
            self._chunks[table].append(_Chunk(frame, by.min(), by.max()))

    def _read(self, table: str, low: Any, high: Any, versions: Mapping[str, int] | None) -> pl.DataFrame:
        chunks = self._chunks[table]
        upto = at_version(table, len(chunks), versions)
        met = [c.frame for c in chunks[:upto] if low is not None and c.low <= high and low <= c.high]
        return pl.concat(met) if met else pl.DataFrame(schema=self._schemas[table])
