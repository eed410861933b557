"""What a lake of Delta tables loses on purpose: what is too old, what no snapshot needs, what a person had erased."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import polars as pl

from anew.adapters._delta_file import FileReader
from anew.adapters._delta_log import TableLog
from anew.adapters._delta_writer import LakeWriter
from anew.adapters._lake_frame import RANGED_BY
from anew.adapters._lake_mark import Bound, LakeMark, StoredFile
from anew.domain.boundary import reach
from anew.domain.observation import id_prefix

__all__ = ["LakeUpkeep"]

Rows = Callable[[str, Callable[[], Sequence[StoredFile]], pl.Expr], pl.DataFrame]
"""Returns those rows of a table's files, as they are found, for which an expression holds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BY_KEY = ("predictions", "history")
_BY_PREDICTION = ("labels", "feedback")


@dataclass(frozen=True, slots=True)
class LakeUpkeep:
    """For the one writer, after it is `ready`. Each step is safe to repeat after a crash.

    A file is first taken out of the table by a commit, then marked as gone, then deleted: whatever is cut off, no
    version reads fewer rows than it has, it is refused instead.
    """

    mark: LakeMark
    logs: Mapping[str, TableLog]
    readers: Mapping[str, FileReader]
    writer: LakeWriter

    def expire(self, before: datetime) -> int:
        """Take files with nothing but rows from before an instant out of the tables; returns the rows in them.

        They stay for the versions that have them until `vacuum`. Files that reach over the instant stay whole.
        """
        bounds: dict[str, Bound] = {table: (before - _EPOCH) // timedelta(microseconds=1) for table in _BY_KEY}
        bounds |= dict.fromkeys(_BY_PREDICTION, id_prefix(before))
        rows = 0
        for table, bound in bounds.items():
            old = [file for file in self.mark.live(table) if file.high < bound]  # type: ignore[operator]  # both of one kind
            if old:
                self.writer.replace(table, tuple(old), None, app="anew-expire")
                rows += sum(file.rows for file in old)
        return rows

    def vacuum(self, pinned: Mapping[str, Collection[int]], after: Mapping[str, int]) -> int:
        """Delete the files that neither a pinned version has nor one from `after` on; returns how many were deleted."""
        deleted = 0
        for table in RANGED_BY:
            pins = sorted(pinned.get(table, ()))
            dead = [
                path
                for path, added, removed in self.mark.removed(table)
                if removed <= after.get(table, removed) and not any(added <= version < removed for version in pins)
            ]
            self._delete(table, dead)
            deleted += len(dead)
        return deleted

    def having(self, key: str, rows: Rows) -> Mapping[str, int]:
        """Return how many rows of each table, as it is now, `purge` would erase; changes nothing.

        Labels count that are about a prediction of any version, as they are what `purge` erases. Whoever only looks is
        not the writer: `rows` looks again where it erased a file meanwhile.
        """
        mine = pl.col("_key") == key
        counts = {table: rows(table, partial(self.mark.live, table), mine).height for table in _BY_KEY}
        ids = sorted(set(rows("predictions", partial(self.mark.stored, "predictions"), mine)["_id"]))
        about = pl.col("_prediction").is_in(ids)
        return counts | {
            table: rows(table, partial(self.mark.live, table), about).height if ids else 0 for table in _BY_PREDICTION
        }

    def purge(self, key: str) -> tuple[Mapping[str, int], frozenset[str]]:
        """Erase all rows of one key, from the present and from every version before.

        Returns the rows erased from each table, and the ids of the predictions among them.
        """
        ids: set[str] = set()
        for file in self.mark.stored("predictions"):
            ids |= set(self.readers["predictions"].read([file], pl.col("_key") == key)["_id"])
        # Labels and feedback first: a crash between leaves the predictions by which they are found again.
        about = pl.col("_prediction").is_in(sorted(ids))
        counts = {table: self._erase(table, about) if ids else 0 for table in _BY_PREDICTION}
        counts |= {table: self._erase(table, pl.col("_key") == key) for table in _BY_KEY}
        return counts, frozenset(ids)

    def _erase(self, table: str, which: pl.Expr) -> int:
        """Rewrite the live files that have such rows, and delete every file that had any; returns the rows that went.

        What only old versions have is deleted whole, and does not count.
        """
        old = {path for path, *_ in self.mark.removed(table)}
        dead, erased = [], 0
        for file in self.mark.stored(table):
            rows = self.readers[table].read([file])
            left = rows.filter(~which.fill_null(value=False))
            if left.height == rows.height:
                continue
            if file.path not in old:
                self.writer.replace(table, (file,), left if left.height else None, app="anew-purge")
                reach("purge.rewritten")
                erased += rows.height - left.height
            dead.append(file.path)
        self._delete(table, dead)
        return erased

    def _delete(self, table: str, paths: Collection[str]) -> None:
        """Mark files as gone, then delete them; those that a crash left over are deleted now."""
        if paths:
            self.mark.lose(table, paths)
            reach("lake.marked_gone")
        folder = self.logs[table].folder
        for path in self.mark.gone(table):
            folder.remove(path)
