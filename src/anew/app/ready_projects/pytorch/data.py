"""Readings of machines, generated: 60 a day for 80 days; some fail within the day. From day 40 on a new part is fitted.

Put your own rows in the place of these: a file with the columns that anew.yaml declares. Run it: python data.py
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, A_DAY, CHANGE = 80, 60, 40
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows() -> pl.DataFrame:
    """Return the readings in time order."""
    chance = np.random.default_rng(20260205)
    n = DAYS * A_DAY
    vibration, heat, load, age = chance.normal(size=(4, n))
    late = np.arange(n) // A_DAY >= CHANGE
    score = np.where(late, heat - vibration, vibration * heat + load) + chance.normal(scale=0.3, size=n)
    at = [START + timedelta(seconds=86_400 / A_DAY * i) for i in range(n)]
    return pl.DataFrame(
        {"at": at, "vibration": vibration, "heat": heat, "load": load, "age": age, "fails": (score > 0.5).astype(int)}
    )


if __name__ == "__main__":
    made = rows()
    made.write_parquet("stream.parquet")
    made.head(made.height // 2).write_parquet("history.parquet")  # from before the change
