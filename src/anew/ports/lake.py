"""The observation store: predictions, labels and imported history, append-only and versioned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from anew.domain.errors import InvariantError
from anew.domain.interval import Interval
from anew.domain.observation import Observation
from anew.ports.journal import JournalReader

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Lake", "PackedRows", "PreparedBatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRows:
    """Rows of one table as they are stored.

    Attributes
    ----------
    content, sha256
        Bytes of a Parquet file, and their digest.
    low, high
        Least and greatest value of the column that reads select by: microseconds, or the id of a prediction.
    """

    content: bytes = field(repr=False)
    sha256: str
    rows: int
    low: int | str
    high: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBatch:
    """A batch made ready to be stored, perhaps by another process; made and thrown away without consequence.

    Attributes
    ----------
    after, position
        The positions of the journal between which it lies: it can be stored while `after` is the drained one.
    oldest, newest
        Least and greatest event time of the predictions in it; None without any.
    tables
        The rows, by table.
    """

    journal: str
    after: int
    position: int
    observations: int
    tables: Mapping[str, PackedRows]
    oldest: datetime | None = None
    newest: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what would move nothing, and rows that are not those that were read."""
        rows = sum(each.rows for each in self.tables.values())
        if self.position <= self.after or rows != self.observations:
            raise InvariantError(
                f"journal {self.journal}: {self.observations} observations after {self.after} up to {self.position} "
                f"cannot be a batch of {rows} rows"
            )


class Lake(Protocol):
    """Tables ``predictions``, ``labels``, ``feedback`` and ``history``; exactly once by (journal, position).

    One writer process.

    Frames have the declared feature columns as they are and system columns that begin with an underscore:
    predictions ``_id, _at, _received_at, _key, _version, _arm, _output, _proba, _epoch, _latency_us,
    _shadow_version, _shadow_output, _shadow_problem``; labels ``_id, _prediction, _at, _received_at, _value,
    _source, _revision``; feedback ``_id, _prediction, _at, _received_at, _event, _value, _source``; history ``_at,
    _label, _source, _key`` and the features. Instants are UTC microseconds.
    """

    def drained(self, journal: str) -> int:
        """Return the journal position up to which observations are stored, 0 for none."""
        ...

    def append(self, journal: str, position: int, observations: Sequence[Observation]) -> int:
        """Store a batch read from `journal` after its drained position, ending at `position`.

        Returns the rows by which the tables grew through it, whatever was erased before or after; those of a batch that
        had been cut off too, when it finishes that. Without effect when `position` is drained already.

        Raises
        ------
        ConflictError
            Another process writes to the lake, or finished an interrupted batch: read again after `drained`.
        UnavailableError
            The store cannot be written now (full, gone); nothing was stored.
        IntegrityError
            A table is behind or beside its high-water mark: silently damaged.
        """
        ...

    def prepare(self, journal: str, position: int, observations: Sequence[Observation], *, after: int) -> PreparedBatch:
        """Do the part of `append` that costs most and changes nothing; `commit` does the rest."""
        ...

    def commit(self, batch: PreparedBatch) -> int:
        """Store a batch that was prepared for this lake, here or by another process; returns what `append` does.

        Raises
        ------
        ConflictError
            The lake does not stand where the batch begins, and nothing was stored: it is stored already, or what lies
            before it is not. Or an interrupted change was finished, of this journal or another: look, and try again.
            Or another process writes to the lake.
        UnavailableError, IntegrityError
            As from `append`; bytes that are not those that were prepared are damage too.
        """
        ...

    def import_history(self, frame: "pl.DataFrame", *, source: str) -> int:
        """Store labelled rows from before anew served, once per `source`; returns the rows stored now."""
        ...

    def imported(self, source: str) -> bool:
        """Were rows of `source` stored by `import_history`?"""
        ...

    def versions(self) -> Mapping[str, int]:
        """Return the present version of each table."""
        ...

    def predictions(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> "pl.DataFrame":
        """Return the predictions of `span` by event time, ordered by (_at, _id), one row per id."""
        ...

    def labels(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> "pl.DataFrame":
        """Return the label that counts, by the lake's rules, of each prediction whose event time lies in `span`."""
        ...

    def feedback(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> "pl.DataFrame":
        """Return the feedback on predictions of `span`, each delivery once, ordered by (_prediction, _at, _id)."""
        ...

    def fresh(self, table: str, *, after: int, upto: int, until: datetime | None = None) -> "pl.DataFrame":
        """Return the rows of `table` that came with its versions above `after` up to `upto`, as they were stored.

        Each row once, but for those that were erased or too old meanwhile. Where files were made one before they were
        read, and deleted since, rows may come twice, and ones that came earlier or later may be among them. Costs what
        came since, never what was there. Rows about predictions from the event time `until` on may be left out.
        """
        ...

    def deliveries(self, span: Interval, ids: "pl.Series") -> "pl.DataFrame":
        """Return all labels about the predictions `ids` of `span`, corrected and withdrawn ones too, as they were said.

        Those about other ids of that time are among them: nobody answered those.
        """
        ...

    def labelled(self, span: Interval, *, versions: Mapping[str, int] | None = None) -> "pl.DataFrame":
        """Return rows for training: history and joined predictions of `span`, in time order.

        Features, ``_at``, ``_label``, ``_source`` (whose word the label is), ``_key``, ``_id`` (of the prediction;
        empty in history). With `versions` of an earlier snapshot its rows come again, labels as they were then; with
        all of them but that of ``labels``, the same rows with their labels as they are now.
        """
        ...

    def counts(self) -> Mapping[str, int]:
        """Return the rows stored in each table: ``predictions``, ``labels``, ``feedback``, ``history``."""
        ...

    def verify(self, seen: Callable[[], None] = lambda: None) -> Sequence[str]:
        """Compare the tables with their high-water marks; return one sentence per damage, none when whole.

        `seen` is called after each file.
        """
        ...

    def rebuild(self, journals: JournalReader, seen: Callable[[], None] = lambda: None) -> Sequence[str]:
        """Repair what is damaged from what was kept and from `journals`; return one sentence per repair.

        `seen` is called after each file.

        Raises
        ------
        IntegrityError
            Something could not be repaired; the message has one line for each. What could be is repaired all the same.
        """
        ...
