"""Drains the journals of a folder into its lake until they are empty; killed on the way when the environment says so.

Usage: lake_program.py FOLDER [careful|careless]
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.killpoint import install
from anew.adapters.lake_batch import unpack
from anew.adapters.memory_lake import MemoryLake
from anew.adapters.segment_reader import SegmentReader
from anew.domain.boundary import reach
from anew.domain.observation import Observation, Prediction
from anew.loop.drain import Drainer
from anew.ports.lake import PreparedBatch
from anew.testing.contract_lake import COLUMNS


class CarelessLake(MemoryLake):
    """The control: appends with an app transaction that nobody reads first, and notes the position afterwards."""

    def __init__(self, folder: Path) -> None:
        super().__init__(COLUMNS)
        self.folder = folder
        self.notes = folder / "positions.json"

    def drained(self, journal: str) -> int:
        """Return the position that was noted."""
        return int(json.loads(self.notes.read_text()).get(journal, 0)) if self.notes.exists() else 0

    def append(self, journal: str, position: int, observations: Sequence[Observation]) -> int:
        """Append, then note."""
        ids = pl.DataFrame(
            {"_id": [o.id for o in observations], "p": [isinstance(o, Prediction) for o in observations]}
        )
        return self._add_ids(ids, journal, position)

    def commit(self, batch: PreparedBatch) -> int:
        """Append predictions wherever they begin, then note."""
        ids = unpack(batch.tables["predictions"]).select("_id", p=pl.lit(True))
        return self._add_ids(ids, batch.journal, batch.position)

    def _add_ids(self, ids: pl.DataFrame, journal: str, position: int) -> int:
        once = CommitProperties(app_transactions=[Transaction(f"anew-{journal}", position)])
        write_deltalake(self.folder / "careless", ids, mode="append", commit_properties=once)
        reach("lake.commit_stored")
        time.sleep(0.05)  # in which another one looks: without it the two may take turns by luck
        self.notes.write_text(json.dumps({journal: position}))
        return ids.height

    def counts(self) -> Mapping[str, int]:
        """Return the rows of the table."""
        table = self.folder / "careless"
        rows = DeltaTable(table).count() if DeltaTable.is_deltatable(str(table)) else 0
        return {"predictions": rows, "labels": 0, "feedback": 0, "history": 0}


def main(folder: Path, kind: str) -> None:
    """Drain until nothing is left."""
    # The control names the one boundary that it has as ours do, with the same variable.
    install(os.environ)
    lake = (
        CarelessLake(folder)
        if kind == "careless"
        else DeltaLake(folder / "lake", COLUMNS, "m", folder / "state" / "lake.db")
    )
    drainer = Drainer(SegmentReader(folder / "journal"), lake, most=60, rounds=3, keep=0)
    while drainer.drain_once().read:
        pass


if __name__ == "__main__":
    signal.alarm(60)  # never outlives its test
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "careful")
