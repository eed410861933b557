"""The review queue in a SQLite file of its own: items, leases, votes, and the words that they came to."""

import json
import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from anew.adapters._review_file import ReviewFile
from anew.domain.errors import ConflictError, NotFoundError, UnavailableError
from anew.ports.review import Asked, LabelValue, Question, ReviewItem, Word

__all__ = ["ReviewDB"]

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


class ReviewDB(ReviewFile):
    """Keeps the queue; see `anew.ports.review.ReviewStore`. A vote without a value is an item that was skipped."""

    def reached(self) -> datetime | None:
        """Return the event time up to which answers were chosen; None before the first."""
        found = self.all("SELECT value FROM meta WHERE key = 'reached'")
        return datetime.fromisoformat(found[0][0]) if found else None

    def add(self, items: Sequence[ReviewItem], *, reached: datetime) -> None:
        """Add what was chosen, once for each prediction, and move `reached`, in one transaction."""
        with self.writing() as db:
            db.executemany(
                "INSERT INTO item"
                " (id, prediction, at, key, shown, reason, propensity, window, needed, wanted, truth, place,"
                " answer, score, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
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
                        None if each.answer is None else json.dumps(each.answer),
                        each.score,
                        each.version,
                    )
                    for each in items
                ],
            )
            db.execute("INSERT OR REPLACE INTO meta VALUES ('reached', ?)", (reached.isoformat(),))

    def lease(self, labeller: str, now: datetime, length: timedelta, *, gold: float) -> Question | None:
        """Give the labeller an item until `now` + `length`; the one that is theirs already, if any."""
        asked = {"labeller": labeller, "now": now.isoformat()}
        with self.writing() as db:
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
        with self.writing() as db:
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
        with self.writing() as db:
            before = self._vote(db, id, labeller)
            if before is not None:
                if before[0] is None:
                    return
                raise ConflictError("you have answered this item already; ask for the next one")
            self._theirs(db, id, labeller, now)
            db.execute(
                "INSERT INTO vote (item, labeller, value, at) VALUES (?, ?, NULL, ?)", (id, labeller, now.isoformat())
            )
            db.execute("DELETE FROM lease WHERE item = ? AND labeller = ?", (id, labeller))

    def last_vote(self) -> int:
        """Return a number that every vote, and every change of one, makes greater."""
        found = self.all("SELECT coalesce(sum(seq), 0) FROM sqlite_sequence WHERE name IN ('vote', 'retold')")
        return int(found[0][0])

    def retold(self) -> tuple[int, Sequence[str]]:
        """Return the items whose votes came, were changed or taken back elsewhere since `counted`, and a number."""
        rows = self.all("SELECT number, item FROM retold ORDER BY number")
        return (rows[-1][0] if rows else 0), list(dict.fromkeys(item for _, item in rows))

    def counted(self, number: int) -> None:
        """Take note that what was `retold` under this number has been counted."""
        with self.writing() as db:
            db.execute("DELETE FROM retold WHERE number <= ?", (number,))

    def labellers(self) -> Collection[str]:
        """Return the names in which anybody has voted, on known answers that are erased as well."""
        return [name for (name,) in self.all("SELECT labeller FROM vote UNION SELECT labeller FROM tested")]

    def gold(self) -> Mapping[str, Sequence[tuple[LabelValue, LabelValue]]]:
        """Return, by labeller, what each said to questions with a known answer, and the answer, oldest first."""
        found: dict[str, list[tuple[LabelValue, LabelValue]]] = {}
        kept = self.all("SELECT labeller, value, truth FROM tested ORDER BY rowid")
        rows = self.all(
            "SELECT labeller, value, truth FROM vote JOIN item ON item.id = vote.item"
            " WHERE truth IS NOT NULL AND value IS NOT NULL ORDER BY number"
        )
        for labeller, value, truth in (*kept, *rows):
            found.setdefault(labeller, []).append((json.loads(value), json.loads(truth)))
        return found

    def voted(self, labellers: Collection[str] = (), items: Collection[str] = ()) -> Sequence[Asked]:
        """Return open items that anybody has voted on, and settled ones on which `labellers` have; `items` as well."""
        rows = self.all(
            "SELECT item, labeller, value FROM vote JOIN item ON item.id = vote.item"
            " WHERE truth IS NULL AND value IS NOT NULL ORDER BY number"
        )
        votes: dict[str, list[tuple[str, LabelValue]]] = {}
        for id, labeller, value in rows:
            votes.setdefault(id, []).append((labeller, json.loads(value)))
        wanted, named = set(labellers), set(items)
        return [
            Asked(id=id, item=item, votes=votes.get(id, ()), settled=settled, revision=revision)
            for id, (item, settled, revision) in self._items([*votes, *(named - votes.keys())]).items()
            if item.truth is None
            and (settled is None or id in named or wanted & {labeller for labeller, _ in votes.get(id, ())})
        ]

    def want(self, id: str, votes: int) -> None:
        """Have so many persons asked about an item, all told."""
        with self.writing() as db:
            db.execute("UPDATE item SET wanted = ? WHERE id = ?", (votes, id))

    def settle(self, id: str, value: LabelValue | None, now: datetime, by: Sequence[str], *, agreed: bool) -> None:
        """Close an item with a value, or open it again with None; a word follows, and the revision goes up."""
        text = None if value is None else json.dumps(value)
        with self.writing() as db:
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
            for number, prediction, at, said_at, value, revision, by, agreed in self.all(
                "SELECT number, prediction, at, said_at, value, revision, by, agreed FROM word WHERE number > ?"
                " ORDER BY number",
                after,
            )
        ]

    def stored(self, number: int) -> None:
        """Drop the words up to this number: the lake has them."""
        with self.writing() as db:
            db.execute("DELETE FROM word WHERE number <= ?", (number,))

    def untold(self) -> Sequence[ReviewItem]:
        """Return the items that no fact has named yet, by window."""
        ids = [id for (id,) in self.all("SELECT id FROM item WHERE told = 0 ORDER BY window, prediction")]
        return [item for item, _, _ in self._items(ids).values()]

    def told(self, window: datetime) -> None:
        """Take note that a fact has named the items of the window that began then."""
        with self.writing() as db:
            db.execute("UPDATE item SET told = 1 WHERE window = ?", (window.isoformat(),))

    def status(self, now: datetime) -> Mapping[str, Any]:
        """Return counts of items by reason and state, and of each labeller, as plain values."""
        reasons = self.all(
            "SELECT reason, count(*), sum(settled IS NOT NULL) FROM item WHERE truth IS NULL GROUP BY reason"
        )
        oldest = self.all("SELECT min(at) FROM item WHERE truth IS NULL AND settled IS NULL")[0][0]
        leased = self.all("SELECT count(*) FROM lease WHERE until > ?", now.isoformat())[0][0]
        people = self.all(
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
        with self.writing() as db:
            db.execute("DELETE FROM word WHERE prediction IN (SELECT prediction FROM item WHERE key = ?)", (key,))
            until = before.isoformat() if before else ""
            # Whom to believe rests on what they answered, however old; of what, and about whom, is forgotten.
            db.execute(
                "INSERT INTO tested SELECT labeller, value, truth FROM vote JOIN item ON item.id = vote.item"
                " WHERE truth IS NOT NULL AND value IS NOT NULL AND item.at < ? AND key <> ? ORDER BY number",
                (until, key),
            )
            count = db.execute("DELETE FROM item WHERE key = ? OR at < ?", (key, until)).rowcount
        if self.all("PRAGMA wal_checkpoint(TRUNCATE)")[0][0] and key:
            raise UnavailableError("review.db is being read, and its log still holds what was erased; try again")
        return count

    def _items(self, ids: Collection[str]) -> dict[str, tuple[ReviewItem, LabelValue | None, int]]:
        found = {}
        for id in ids:
            rows = self.all(
                "SELECT prediction, at, key, shown, reason, propensity, window, needed, truth, answer, score, version,"
                " settled, revision FROM item WHERE id = ?",
                id,
            )
            if not rows:
                continue  # it was erased meanwhile
            ((*columns, settled, revision),) = rows
            prediction, at, key, shown, reason, propensity, window, needed, truth, answer, score, version = columns
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
                answer=None if answer is None else json.loads(answer),
                score=score,
                version=version,
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


def _question(found: Sequence[str], until: datetime) -> Question:
    id, at, shown = found
    return Question(id=id, at=datetime.fromisoformat(at), row=json.loads(shown), until=until)
