"""The record of facts in a SQL database."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, func, insert, select

from anew.adapters.fact_chain import GENESIS, link
from anew.adapters.fact_codec import decode, encode
from anew.adapters.memory import check_ids
from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_lease import require_grant
from anew.adapters.sql_tables import FACT
from anew.domain.boundary import reach
from anew.domain.errors import ConflictError, IntegrityError
from anew.domain.fact import Fact
from anew.ports.clock import Clock
from anew.ports.eventlog import Grant, Recorded

__all__ = ["ChainHead", "SQLEventLog"]

_PAGE = 500
"""Facts read or looked up at a time, each page in its own short transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHead:
    """How far the hash chain was verified: the last `seq` and its `hash`, which belongs outside the database too."""

    seq: int
    hash: str


class SQLEventLog:
    """Facts in the table `fact`. Thread- and process-safe; see `anew.ports.eventlog.EventLog`.

    Parameters
    ----------
    database
        Opened with `open_database`.
    clock
        Tells `recorded_at`.
    lease
        Name of the lease whose grant an append must show.
    """

    def __init__(self, database: SQLDatabase, *, clock: Clock, lease: str = "loop") -> None:
        self._database = database
        self._clock = clock
        self._lease = lease

    def append(self, facts: Sequence[Fact], *, grant: Grant) -> int:
        """Append all of `facts` or none; return the head afterwards."""
        check_ids(facts)
        bodies = [encode(fact).decode() for fact in facts]
        with self._database.write() as connection:
            require_grant(connection, self._lease, grant)
            seq, previous = _last(connection)
            known = _known(connection, [fact.id for fact in facts])
            if known and len(known) < len(facts):
                raise ConflictError(
                    f"of {len(facts)} facts {len(known)} are on record already, {sorted(known)[0]} among them"
                )
            if facts and not known:
                rows = _rows(list(zip(facts, bodies, strict=True)), seq, previous, _text(self._clock.now()))
                reach("eventlog.before_write")
                connection.execute(insert(FACT), rows)
                seq += len(rows)
                reach("eventlog.before_commit")
        reach("eventlog.after_commit")
        return seq

    def read(self, *, after: int = 0) -> Iterator[Recorded]:
        """Yield the facts with ``seq > after``, in order, those included that come while it is read."""
        for row in self._pages(after):
            yield _recorded(row)

    def find(self, id: str) -> Recorded | None:
        """Return the fact with this id, or None."""
        with self._database.read() as connection:
            row = connection.execute(select(FACT).where(FACT.c.id == id)).one_or_none()
        return None if row is None else _recorded(row)

    def head(self) -> int:
        """Return the greatest `seq`, 0 when empty."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.max(FACT.c.seq))).scalar() or 0)

    def verify_chain(self, earlier: ChainHead | None = None) -> ChainHead:
        """Recompute the hash chain from the first fact to the last.

        A cut-off tail, or a record that was written anew from some fact on, leaves a whole chain: it shows only against
        `earlier`, a head that was exported before.

        Raises
        ------
        IntegrityError
            A fact was changed, removed or put in between; the message names the first bad row. Or the record does not
            go on from `earlier`.
        """
        seq, previous = 0, GENESIS
        for row in self._pages(0):
            seq += 1
            problem = _problem(row, seq, previous)
            if problem:
                raise IntegrityError(f"the record of facts was altered: fact {row.seq} ({row.id}) {problem}")
            previous = row.hash
            if earlier is not None and seq == earlier.seq and previous != earlier.hash:
                raise IntegrityError(
                    f"the record of facts was altered: at fact {seq} ({row.id}) it is another than the one whose head "
                    "was exported"
                )
        if earlier is not None and seq < earlier.seq:
            raise IntegrityError(
                f"the record of facts was altered: it ends at fact {seq}, and reached fact {earlier.seq} when its head "
                "was exported"
            )
        return ChainHead(seq=seq, hash=previous)

    def _pages(self, after: int) -> Iterator[Row[tuple[object, ...]]]:
        while True:
            with self._database.read() as connection:
                query = select(FACT).where(FACT.c.seq > after).order_by(FACT.c.seq).limit(_PAGE)
                rows = connection.execute(query).all()
            yield from rows
            if len(rows) < _PAGE:
                return
            after = rows[-1].seq


def _last(connection: Connection) -> tuple[int, str]:
    row = connection.execute(select(FACT.c.seq, FACT.c.hash).order_by(FACT.c.seq.desc()).limit(1)).one_or_none()
    return (0, GENESIS) if row is None else (row.seq, row.hash)


def _known(connection: Connection, ids: Sequence[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(ids), _PAGE):
        query = select(FACT.c.id).where(FACT.c.id.in_(ids[start : start + _PAGE]))
        known.update(connection.execute(query).scalars())
    return known


def _rows(facts: Sequence[tuple[Fact, str]], seq: int, previous: str, recorded_at: str) -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = []
    for fact, body in facts:
        seq += 1
        digest = link(previous, seq=seq, kind=fact.kind, schema=fact.schema, recorded_at=recorded_at, body=body)
        rows.append(
            {
                "seq": seq,
                "id": fact.id,
                "model": fact.model,
                "kind": fact.kind,
                "schema": fact.schema,
                "at": _text(fact.at),
                "cause": fact.cause,
                "recorded_at": recorded_at,
                "body": body,
                "prev_hash": previous,
                "hash": digest,
            }
        )
        previous = digest
    return rows


def _problem(row: Row[tuple[object, ...]], seq: int, previous: str) -> str:
    """Say what is wrong with a stored row that should be number `seq` after the hash `previous`; empty for nothing."""
    if row.seq != seq:
        return f"follows fact {seq - 1}: what stood between is gone"
    if row.prev_hash != previous:
        return "does not continue the chain of the fact before it"
    digest = link(previous, seq=row.seq, kind=row.kind, schema=row.schema, recorded_at=row.recorded_at, body=row.body)
    if row.hash != digest:
        return "has other contents than its hash was made of"
    fact = decode(row.kind, row.schema, row.body.encode())
    columns = (row.id, row.model, row.at, row.cause)
    return (
        "" if columns == (fact.id, fact.model, _text(fact.at), fact.cause) else "has columns that differ from its body"
    )


def _recorded(row: Row[tuple[object, ...]]) -> Recorded:
    return Recorded(
        seq=row.seq,
        recorded_at=datetime.fromisoformat(row.recorded_at),
        fact=decode(row.kind, row.schema, row.body.encode()),
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
