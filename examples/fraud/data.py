"""Card payments, generated: 600 a day for sixty days, some of them fraud. Run it: python data.py events.parquet

Twice people spend 1.8 times as much as before: on two days (20 and 21), and from day 40 on for good. What is fraud does
not change with it: it depends on how large a payment is for its customer.
"""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, A_DAY = 60, 600
START = datetime(2026, 1, 1, tzinfo=UTC)
RISE = 1.8


def rows() -> pl.DataFrame:
    """Return the payments in time order, with what became of them."""
    chance = np.random.default_rng(20260101)
    count = DAYS * A_DAY
    day = np.arange(count) // A_DAY
    usual = chance.lognormal(3.5, 0.4, count)
    ratio = chance.lognormal(0.0, 0.6, count)
    abroad = chance.random(count) < 0.1
    level = np.where((day >= 40) | (day == 20) | (day == 21), RISE, 1.0)
    risk = 1 / (1 + np.exp(-(2.2 * np.log(ratio) + 1.5 * abroad - 3.2)))
    return pl.DataFrame(
        {
            "at": [START + timedelta(seconds=86_400 / A_DAY * i) for i in range(count)],
            "amount": usual * ratio * level,
            "usual": usual * level,
            "abroad": abroad.astype(float),
            "is_fraud": (chance.random(count) < risk).astype(int),
        }
    )


if __name__ == "__main__":
    rows().write_parquet(sys.argv[1])
