"""Tidies a lake over and over: appends, compacts, lets go what is old, vacuums. Usage: month_program.py FOLDER.

It says each batch that it has stored, and is killed whenever somebody likes.
"""

import signal
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from anew.adapters.delta_lake import DeltaLake
from anew.domain.errors import ConflictError
from anew.testing.contract_lake import COLUMNS, DAY, START, prediction

__all__ = ["BATCH", "main", "opened"]

BATCH = 20
"""Rows of a batch."""


def opened(folder: Path) -> DeltaLake:
    """Open the lake."""
    return DeltaLake(folder / "lake", COLUMNS, "m", folder / "lake.db")


def main(folder: Path) -> None:
    """Go on where the lake stands, for ever."""
    with closing(opened(folder)) as lake:
        while True:
            batch = lake.drained("w0") // BATCH
            at = START + batch * timedelta(hours=1)
            rows = [prediction(batch * BATCH + i, at=at + timedelta(seconds=i)) for i in range(BATCH)]
            try:
                lake.append("w0", (batch + 1) * BATCH, rows)
            except ConflictError:  # what was killed in the midst is finished first: read again, as the drainer does
                continue
            sys.stdout.write(f"{batch}\n")
            sys.stdout.flush()
            if batch % 3 == 2:
                lake.compact()
                lake.expire(at - 10 * DAY)
                lake.vacuum({}, after=dict(lake.versions()))


if __name__ == "__main__":
    signal.alarm(60)  # never outlives its test
    main(Path(sys.argv[1]))
