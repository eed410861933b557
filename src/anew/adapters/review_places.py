"""Which items of the review queue are in a tool of somebody else's, and what was said of them there."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from anew.adapters._review_file import ReviewFile
from anew.ports.labelling import Placement
from anew.ports.review import LabelValue

__all__ = ["ReviewPlaces"]

_NEEDLESS = """
SELECT placed.item, task FROM placed LEFT JOIN item ON item.id = placed.item
WHERE task IS NOT NULL AND (item.id IS NULL OR (settled IS NOT NULL AND item.id NOT IN (SELECT item FROM retold)
    AND EXISTS (SELECT 1 FROM vote WHERE vote.item = item.id)
    AND NOT EXISTS (SELECT 1 FROM vote WHERE vote.item = item.id AND substr(labeller, 1, length(?1)) = ?1)))
"""
"""An item that was settled there and taken back stays: it will be open again in a moment."""


class ReviewPlaces(ReviewFile):
    """See `anew.ports.labelling.Placed`. It works on the file of `anew.adapters.review_db.ReviewDB`."""

    def waiting(self, most: int) -> Sequence[Placement]:
        """Return open items that are nowhere yet."""
        return [
            Placement(
                item=id,
                at=datetime.fromisoformat(at),
                row=json.loads(shown),
                answer=None if answer is None else json.loads(answer),
                score=score,
                version=version,
            )
            for id, at, shown, answer, score, version in self.all(
                "SELECT id, at, shown, answer, score, version FROM item WHERE settled IS NULL"
                " AND id NOT IN (SELECT item FROM placed) ORDER BY place, id LIMIT ?",
                most,
            )
        ]

    def placing(self, items: Collection[str]) -> None:
        """Take note that tasks for these are about to be made."""
        with self.writing() as db:
            db.executemany("INSERT OR IGNORE INTO placed (item) VALUES (?)", [(item,) for item in items])

    def doubtful(self) -> bool:
        """Are there items of which tasks may have been made, or not?"""
        return bool(self.all("SELECT 1 FROM placed WHERE task IS NULL LIMIT 1"))

    def place(self, tasks: Mapping[str, int]) -> None:
        """Take note of the tasks of items; what is in doubt otherwise has none, and waits again."""
        with self.writing() as db:
            db.executemany("INSERT OR REPLACE INTO placed (item, task) VALUES (?, ?)", list(tasks.items()))
            db.execute("DELETE FROM placed WHERE task IS NULL")

    def task(self, item: str) -> int | None:
        """Return the task of an item; None where it has none, 0 where there is no such item."""
        found = self.all("SELECT task FROM item LEFT JOIN placed ON placed.item = item.id WHERE id = ?", item)
        task: int | None = found[0][0] if found else 0
        return task

    def hear(self, item: str, prefix: str, votes: Mapping[str, LabelValue | None], now: datetime) -> bool:
        """Have the votes of labellers whose names begin so be these and no others; tell whether any changed."""
        said = {who: None if value is None else json.dumps(value) for who, value in votes.items()}
        with self.writing() as db:
            known = dict(
                db.execute(
                    "SELECT labeller, value FROM vote WHERE item = ? AND substr(labeller, 1, ?) = ?",
                    (item, len(prefix), prefix),
                )
            )
            gone = [who for who in known if who not in said or said[who] != known[who]]
            new = [who for who in said if who not in known or said[who] != known[who]]
            db.executemany("DELETE FROM vote WHERE item = ? AND labeller = ?", [(item, who) for who in gone])
            db.executemany(
                "INSERT INTO vote (item, labeller, value, at) VALUES (?, ?, ?, ?)",
                [(item, who, said[who], now.isoformat()) for who in new],
            )
            if gone or new:
                db.execute("INSERT INTO retold (item) VALUES (?)", (item,))
        return bool(gone or new)

    def narrow(self) -> Sequence[tuple[str, int, int]]:
        """Return (item, task, people) of open items of which more people are to be asked than the tool was told."""
        rows = self.all(
            "SELECT item, task, wanted FROM placed JOIN item ON item.id = placed.item"
            " WHERE settled IS NULL AND task IS NOT NULL AND wanted > people"
        )
        return [(item, task, wanted) for item, task, wanted in rows]

    def widened(self, item: str, people: int) -> None:
        """Take note that the tool was told to ask so many people."""
        with self.writing() as db:
            db.execute("UPDATE placed SET people = ? WHERE item = ?", (people, item))

    def needless(self, prefix: str) -> Mapping[str, int]:
        """Return tasks whose items are gone, or were settled without anybody whose name begins so."""
        return dict(self.all(_NEEDLESS, prefix))

    def keep(self, items: Collection[str]) -> None:
        """Take note that these are the only items with a task: those of others are gone, what was said there stays."""
        placed = {item for (item,) in self.all("SELECT item FROM placed WHERE task IS NOT NULL")}
        self.forget(placed - set(items))

    def forget(self, items: Collection[str]) -> None:
        """Take note that items have no task any more."""
        with self.writing() as db:
            db.executemany("DELETE FROM placed WHERE item = ?", [(item,) for item in items])
