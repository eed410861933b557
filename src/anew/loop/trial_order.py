"""What a measuring job is told: the candidate, whom it is compared with, and where the rows lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from anew.domain.column import Columns
from anew.domain.errors import NotFoundError
from anew.domain.facts import CandidateTrained, SnapshotTaken
from anew.domain.interval import Interval
from anew.feedback.join import join
from anew.loop.past import Past
from anew.loop.trial import some_of
from anew.ports.lake import Lake
from anew.ports.snapshot import SnapshotStore

__all__ = ["TrialNeeds", "TrialOrders", "read_by"]

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialNeeds:
    """What the project's gates need besides the snapshot.

    Attributes
    ----------
    recorded, past
        Rows of the champion's recorded answers, and of those from before the training span; 0 for none.
    anchor
        The pinned version, empty for the first champion; None where none is pinned.
    """

    recorded: int = 0
    past: int = 0
    anchor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOrders:
    """Writes orders; what it reads, it reads at the table versions of the candidate's snapshot."""

    lake: Lake
    snapshots: SnapshotStore
    past: Past
    columns: Columns
    needs: TrialNeeds

    def order(self, fact: CandidateTrained, project: Path) -> dict[str, Any]:
        """Return the order to measure a candidate.

        Raises
        ------
        NotFoundError, IntegrityError, UnavailableError
            Rows or artifacts cannot be read.
        """
        snapshot = self.snapshots.get(fact.snapshot)
        beside = self.snapshots.get(fact.both.snapshot) if fact.both else None
        champion, champion_folder = self.past.champion(fact.champion)
        taken = self.past.record.find(fact.cause)
        if not isinstance(taken, SnapshotTaken):
            raise NotFoundError(f"{fact.version} was trained on a snapshot that is not on record ({fact.cause})")
        return {
            "project": str(project),
            "snapshot": str(snapshot),
            "trained_rows": fact.rows,
            "beside": str(beside or ""),
            "candidate": [fact.version, fact.digest, str(self.past.artifacts.get(fact.digest))],
            "champion": [fact.champion, champion, champion_folder],
            "anchor": self._anchor(),
            "recorded": self._recorded(fact, taken, snapshot) if self.needs.recorded else "",
            "past": self._past(taken, [snapshot] if beside is None else [snapshot, beside]) if self.needs.past else "",
        }

    def _anchor(self) -> Sequence[str]:
        if self.needs.anchor is None:
            return ["", "", ""]
        version = self.needs.anchor or self.past.record.first_champion()
        return [version, *self.past.champion(version)]

    def _recorded(self, fact: CandidateTrained, taken: SnapshotTaken, snapshot: Path) -> str:
        """Store the champion's answers to the rows that were not trained on, as they were given."""
        at = pl.read_parquet(snapshot, columns=["_at"]).get_column("_at")
        if fact.rows >= at.len():
            return ""
        versions = dict(taken.tables)
        span = Interval(start=at[fact.rows], end=max(taken.span.end, at[-1]))
        answered = self.lake.predictions(span, versions=versions)
        rows = join(answered, self.lake.labels(span, versions=versions))
        served = rows.filter((pl.col("_version") == fact.champion) & pl.col("_label").is_not_null())
        chances = [
            pl.col("_proba").list.get(k, null_on_oob=True).alias(f"_p{k}") for k in range(len(self.columns.classes))
        ]
        picked = served.select(*self.columns.names, "_at", "_label", "_output", *chances).tail(self.needs.recorded)
        return str(self.snapshots.get(self.snapshots.put(picked))) if picked.height else ""

    def _past(self, taken: SnapshotTaken, snapshots: Sequence[Path]) -> str:
        """Store rows that are older than the oldest of the snapshots."""
        first = min(pl.read_parquet(each, columns=["_at"], n_rows=1).item() for each in snapshots)  # in time order
        rows = self.lake.labelled(Interval(start=_BEGINNING, end=first), versions=dict(taken.tables))
        picked = some_of(rows, self.needs.past)
        return str(self.snapshots.get(self.snapshots.put(picked))) if picked.height else ""


def read_by(order: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files and folders that an order names, besides the project: all that measuring it has to read."""
    versions = (order["candidate"], order["champion"], order["anchor"])
    rows = (order["snapshot"], order.get("beside", ""), order["recorded"], order["past"])
    return (*rows, *(place for _, _, place in versions))
