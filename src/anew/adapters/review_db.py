"""The review queue in a SQLite file of its own: items, leases, votes, and the words that they came to."""

import json
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Any

from anew.adapters.sqlite_errors import translate
from anew.domain.errors import ConflictError, NotFoundError, UnavailableError
from anew.ports.review import Asked, LabelValue, Question, ReviewItem, Word

__all__ = ["ReviewDB"]

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item (
    id TEXT PRIMARY KEY, prediction TEXT NOT NULL UNIQUE, at TEXT NOT NULL, key TEXT NOT NULL, shown TEXT NOT NULL,
    reason TEXT NOT NULL, propensity REAL NOT NULL, window TEXT NOT NULL, needed INTEGER NOT NULL,
    wanted INTEGER NOT NULL, truth TEXT, told INTEGER NOT NULL DEFAULT 0, settled TEXT,
    revision INTEGER NOT NULL DEFAULT 0, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease (
    item TEXT NOT NULL REFERENCES item ON DELETE CASCADE, labeller TEXT NOT NULL, until TEXT NOT NULL,
    PRIMARY KEY (item, labeller)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vote (
    number INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL REFERENCES item ON DELETE CASCADE,
    labeller TEXT NOT NULL, value TEXT, at TEXT NOT NULL, UNIQUE (item, labeller)
);
CREATE TABLE IF NOT EXISTS word (
    number INTEGER PRIMARY KEY AUTOINCREMENT, prediction TEXT NOT NULL, at TEXT NOT NULL, said_at TEXT NOT NULL,
    value TEXT, revision INTEGER NOT NULL, by TEXT NOT NULL, agreed INTEGER NOT NULL
);
"""

_FREE = """
SELECT id, at, shown FROM item WHERE settled IS NULL AND truth IS {known}
AND NOT EXISTS (SELECT 1 FROM vote WHERE vote.item = item.id AND vote.labeller = :labeller)
AND (truth IS NOT NULL OR NOT EXISTS (SELECT 1 FROM lease WHERE lease.item = item.id AND until > :now)
    AND (SELECT count(value) FROM vote WHERE vote.item = item.id) < wanted)
ORDER BY place, id LIMIT 1
"""

_MINE = """
SELECT id, at, shown, until FROM item JOIN lease ON lease.item = item.id
WHERE labeller = :labeller AND until > :now AND settled IS NULL
AND NOT EXISTS (SELECT 1 FROM vote WHERE vote.item = item.id AND vote.labeller = :labeller) LIMIT 1
"""


class ReviewDB:
    """Keeps the queue; see `anew.ports.review.ReviewStore`. A vote without a value is an item that was skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)  # it holds rows
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.execute("PRAGMA secure_delete=ON")
            self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def reached(self) -> datetime | None:
        """Return the event time up to which answers were chosen; None before the first."""
        found = self._all("SELECT value FROM meta WHERE key = 'reached'")
        return datetime.fromisoformat(found[0][0]) if found else None

    def add(self, items: Sequence[ReviewItem], *, reached: datetime) -> None:
        """Add what was chosen, once for each prediction, and move `reached`, in one transaction."""
        with self._writing() as db:
            db.executemany(
                "INSERT INTO item"
                " (id, prediction, at, key, shown, reason, propensity, window, needed, wanted, truth, place)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (
                        secrets.token_hex(13),  # tells nothing of the prediction, nor of why it is asked
                        each.prediction,
                        each.at.isoformat(),
                        each.key,
                        json.dumps(dict(each.row)),
                        each.reason,
                        each.propensity,
                        each.window.isoformat(),
                        each.needed,
                        each.needed,
                        None if each.truth is None else json.dumps(each.truth),
                        secrets.randbelow(1 << 40),
                    )
                    for each in items
                ],
            )
            db.execute("INSERT OR REPLACE INTO meta VALUES ('reached', ?)", (reached.isoformat(),))

    def lease(self, labeller: str, now: datetime, length: timedelta, *, gold: float) -> Question | None:
        """Give the labeller an item until `now` + `length`; the one that is theirs already, if any."""
        asked = {"labeller": labeller, "now": now.isoformat()}
        with self._writing() as db:
            mine = db.execute(_MINE, asked).fetchone()
            if mine is not None:
                return _question(mine[:3], datetime.fromisoformat(mine[3]))
            tested = secrets.randbelow(1_000_000) < gold * 1_000_000
            for known in ("NOT NULL", "NULL") if tested else ("NULL",):
                found = db.execute(_FREE.format(known=known), asked).fetchone()
                if found is not None:
                    until = now + length
                    db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?)", (found[0], labeller, until.isoformat()))
                    return _question(found, until)
        return None

    def answer(self, id: str, labeller: str, value: LabelValue, now: datetime) -> None:
        """Take a vote; the same one again changes nothing."""
        with self._writing() as db:
            before = self._vote(db, id, labeller)
            if before is not None:
                if before[0] == json.dumps(value):
                    return
                raise ConflictError("you have answered or skipped this item already; ask for the next one")
            self._theirs(db, id, labeller, now)
            db.execute(
                "INSERT INTO vote (item, labeller, value, at) VALUES (?, ?, ?, ?)",
                (id, labeller, json.dumps(value), now.isoformat()),
            )
            db.execute("DELETE FROM lease WHERE item = ? AND labeller = ?", (id, labeller))

    def skip(self, id: str, labeller: str, now: datetime) -> None:
        """Give an item back, and never get it again."""
        with self._writing() as db:
            if self._vote(db, id, labeller) is not None:
                return
            self._theirs(db, id, labeller, now)
            db.execute(
                "INSERT INTO vote (item, labeller, value, at) VALUES (?, ?, NULL, ?)", (id, labeller, now.isoformat())
            )
            db.execute("DELETE FROM lease WHERE item = ? AND labeller = ?", (id, labeller))

    def last_vote(self) -> int:
        """Return the number of the newest vote, 0 for none."""
        return int(self._all("SELECT coalesce(max(number), 0) FROM vote")[0][0])

    def gold(self) -> Mapping[str, Sequence[tuple[LabelValue, LabelValue]]]:
        """Return, by labeller, what each said to questions with a known answer, and the answer, oldest first."""
        found: dict[str, list[tuple[LabelValue, LabelValue]]] = {}
        rows = self._all(
            "SELECT labeller, value, truth FROM vote JOIN item ON item.id = vote.item"
            " WHERE truth IS NOT NULL AND value IS NOT NULL ORDER BY number"
        )
        for labeller, value, truth in rows:
            found.setdefault(labeller, []).append((json.loads(value), json.loads(truth)))
        return found

    def voted(self, labellers: Collection[str] | None = None) -> Sequence[Asked]:
        """Return open items that anybody has voted on; with `labellers` also settled ones on which these have."""
        rows = self._all(
            "SELECT item, labeller, value FROM vote JOIN item ON item.id = vote.item"
            " WHERE truth IS NULL AND value IS NOT NULL ORDER BY number"
        )
        votes: dict[str, list[tuple[str, LabelValue]]] = {}
        for item, labeller, value in rows:
            votes.setdefault(item, []).append((labeller, json.loads(value)))
        items = self._items(votes)
        wanted = set(labellers or ())
        return [
            Asked(id=id, item=item, votes=votes[id], settled=settled, revision=revision)
            for id, (item, settled, revision) in items.items()
            if settled is None or wanted & {labeller for labeller, _ in votes[id]}
        ]

    def want(self, id: str, votes: int) -> None:
        """Have so many persons asked about an item, all told."""
        with self._writing() as db:
            db.execute("UPDATE item SET wanted = ? WHERE id = ?", (votes, id))

    def settle(self, id: str, value: LabelValue | None, now: datetime, by: Sequence[str], *, agreed: bool) -> None:
        """Close an item with a value, or open it again with None; a word follows, and the revision goes up."""
        text = None if value is None else json.dumps(value)
        with self._writing() as db:
            db.execute("UPDATE item SET settled = ?, revision = revision + 1 WHERE id = ?", (text, id))
            db.execute(
                "INSERT INTO word (prediction, at, said_at, value, revision, by, agreed)"
                " SELECT prediction, at, ?, ?, revision, ?, ? FROM item WHERE id = ?",
                (now.isoformat(), text, json.dumps(list(by)), int(agreed), id),
            )

    def words(self, after: int) -> Sequence[Word]:
        """Return the words with numbers above `after`, in order."""
        return [
            Word(
                number=number,
                prediction=prediction,
                at=datetime.fromisoformat(at),
                said_at=datetime.fromisoformat(said_at),
                value=None if value is None else json.loads(value),
                revision=revision,
                by=tuple(json.loads(by)),
                agreed=bool(agreed),
            )
            for number, prediction, at, said_at, value, revision, by, agreed in self._all(
                "SELECT number, prediction, at, said_at, value, revision, by, agreed FROM word WHERE number > ?"
                " ORDER BY number",
                after,
            )
        ]

    def stored(self, number: int) -> None:
        """Drop the words up to this number: the lake has them."""
        with self._writing() as db:
            db.execute("DELETE FROM word WHERE number <= ?", (number,))

    def untold(self) -> Sequence[ReviewItem]:
        """Return the items that no fact has named yet, by window."""
        ids = [id for (id,) in self._all("SELECT id FROM item WHERE told = 0 ORDER BY window, prediction")]
        return [item for item, _, _ in self._items(ids).values()]

    def told(self, window: datetime) -> None:
        """Take note that a fact has named the items of the window that began then."""
        with self._writing() as db:
            db.execute("UPDATE item SET told = 1 WHERE window = ?", (window.isoformat(),))

    def status(self, now: datetime) -> Mapping[str, Any]:
        """Return counts of items by reason and state, and of each labeller, as plain values."""
        reasons = self._all(
            "SELECT reason, count(*), sum(settled IS NOT NULL) FROM item WHERE truth IS NULL GROUP BY reason"
        )
        oldest = self._all("SELECT min(at) FROM item WHERE truth IS NULL AND settled IS NULL")[0][0]
        leased = self._all("SELECT count(*) FROM lease WHERE until > ?", now.isoformat())[0][0]
        people = self._all(
            "SELECT labeller, sum(value IS NOT NULL), sum(value IS NULL) FROM vote GROUP BY labeller ORDER BY labeller"
        )
        gold = self.gold()
        return {
            "open": sum(n - settled for _, n, settled in reasons),
            "settled": sum(settled for _, _, settled in reasons),
            "leased": leased,
            "oldest": oldest,
            "reasons": {reason: {"items": n, "settled": settled} for reason, n, settled in reasons},
            "labellers": {
                name: {
                    "answered": answered,
                    "skipped": skipped,
                    "gold": len(gold.get(name, ())),
                }
                for name, answered, skipped in people
            },
        }

    def forget(self, *, key: str = "", before: datetime | None = None) -> int:
        """Erase items about one key, and those from before an event time, with what was said; return how many.

        Raises
        ------
        UnavailableError
            Somebody reads the file for so long that its log still holds what was erased: try again.
        """
        with self._writing() as db:
            db.execute("DELETE FROM word WHERE prediction IN (SELECT prediction FROM item WHERE key = ?)", (key,))
            until = before.isoformat() if before else ""
            count = db.execute("DELETE FROM item WHERE key = ? OR at < ?", (key, until)).rowcount
        if self._all("PRAGMA wal_checkpoint(TRUNCATE)")[0][0] and key:
            raise UnavailableError("review.db is being read, and its log still holds what was erased; try again")
        return count

    def _items(self, ids: Collection[str]) -> dict[str, tuple[ReviewItem, LabelValue | None, int]]:
        found = {}
        for id in ids:
            ((*columns, settled, revision),) = self._all(
                "SELECT prediction, at, key, shown, reason, propensity, window, needed, truth, settled, revision"
                " FROM item WHERE id = ?",
                id,
            )
            prediction, at, key, shown, reason, propensity, window, needed, truth = columns
            item = ReviewItem(
                prediction=prediction,
                at=datetime.fromisoformat(at),
                key=key,
                row=json.loads(shown),
                reason=reason,
                propensity=propensity,
                window=datetime.fromisoformat(window),
                needed=needed,
                truth=None if truth is None else json.loads(truth),
            )
            found[id] = (item, None if settled is None else json.loads(settled), revision)
        return found

    @staticmethod
    def _vote(db: sqlite3.Connection, id: str, labeller: str) -> tuple[str | None] | None:
        found: tuple[str | None] | None = db.execute(
            "SELECT value FROM vote WHERE item = ? AND labeller = ?", (id, labeller)
        ).fetchone()
        return found

    @staticmethod
    def _theirs(db: sqlite3.Connection, id: str, labeller: str, now: datetime) -> None:
        """Refuse who was not given the item, or came back after somebody else got it."""
        held = db.execute("SELECT until FROM lease WHERE item = ? AND labeller = ?", (id, labeller)).fetchone()
        state = db.execute("SELECT settled, truth FROM item WHERE id = ?", (id,)).fetchone()
        if held is None or state is None:
            raise NotFoundError("this item was not given to you; ask for the next one")
        if state[0] is not None:
            raise ConflictError("this item was settled meanwhile; ask for the next one")
        others = db.execute(
            "SELECT 1 FROM lease WHERE item = ? AND labeller <> ? AND until > ?", (id, labeller, now.isoformat())
        ).fetchone()
        if state[1] is None and held[0] <= now.isoformat() and others is not None:
            raise ConflictError("your time for this item was up, and somebody else has it now; ask for the next one")

    def _all(self, statement: str, *values: object) -> list[Any]:
        with self._lock, self._translated():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise translate(exc, self._path) from exc


def _question(found: Sequence[str], until: datetime) -> Question:
    id, at, shown = found
    return Question(id=id, at=datetime.fromisoformat(at), row=json.loads(shown), until=until)
