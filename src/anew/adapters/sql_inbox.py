"""Commands of people and programs in a SQL database, on their way to the loop."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select, update

from anew.adapters.fact_codec import decode, encode
from anew.adapters.memory import check_ids
from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_tables import INBOX
from anew.domain.fact import Fact
from anew.ports.clock import Clock

__all__ = ["SQLInbox"]


class SQLInbox:
    """The table `inbox`. Thread- and process-safe; see `anew.ports.inbox.Inbox`.

    What was taken stays there, struck off, so that a command delivered again changes nothing.
    """

    def __init__(self, database: SQLDatabase, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def post(self, fact: Fact) -> None:
        """Put `fact` into the queue; a repeat of its id changes nothing, even after it was taken."""
        check_ids([fact])
        body = encode(fact).decode()
        with self._database.write() as connection:
            if connection.execute(select(INBOX.c.seq).where(INBOX.c.id == fact.id)).one_or_none() is not None:
                return
            head = int(connection.execute(select(func.max(INBOX.c.seq))).scalar() or 0)
            connection.execute(
                insert(INBOX).values(
                    seq=head + 1,
                    id=fact.id,
                    model=fact.model,
                    kind=fact.kind,
                    schema=fact.schema,
                    body=body,
                    posted_at=self._now(),
                )
            )

    def pending(self) -> Sequence[Fact]:
        """Return what was posted and not yet taken, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(INBOX).where(INBOX.c.taken_at == "").order_by(INBOX.c.seq)).all()
        return tuple(decode(row.kind, row.schema, row.body.encode()) for row in rows)

    def take(self, ids: Sequence[str]) -> None:
        """Strike these ids off; unknown ones are ignored."""
        if not ids:
            return
        with self._database.write() as connection:
            for id in ids:
                taken = update(INBOX).where(INBOX.c.id == id, INBOX.c.taken_at == "").values(taken_at=self._now())
                connection.execute(taken)

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="microseconds")
