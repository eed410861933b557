"""Stock of a warehouse at the end of each hour, generated: forty-eight days.

Until day 6 a fault booked every return twice on days of stocktaking: the record says that less than nothing was left.
The fault was mended, the record never was. The next stocktaking is on day 20, and a model that learnt from that record
foresees negative stock. Run it: python data.py events.parquet
"""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, A_DAY, MENDED, NEXT = 48, 96, 6, 20
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows() -> pl.DataFrame:
    """Return the quarters of hours in time order, with the stock that was booked at their end."""
    chance = np.random.default_rng(20260106)
    count = DAYS * A_DAY
    day = np.arange(count) // A_DAY
    ordered, delivered = chance.gamma(4, 5, count), chance.gamma(4, 6, count)
    stocktaking = ((day < MENDED) & (day % 3 == 0)) | ((day >= NEXT) & (day % 10 == 0))
    stock = np.round(np.maximum(0.0, 30 + delivered - ordered + chance.normal(scale=2, size=count)))
    stock[stocktaking] = np.round(np.maximum(0.0, stock[stocktaking] / 10))
    stock[stocktaking & (day < MENDED)] -= 40
    at = [START + timedelta(seconds=86_400 / A_DAY * i) for i in range(count)]
    return pl.DataFrame(
        {"at": at, "ordered": ordered, "delivered": delivered, "stocktaking": stocktaking.astype(float), "stock": stock}
    )


if __name__ == "__main__":
    rows().write_parquet(sys.argv[1])
