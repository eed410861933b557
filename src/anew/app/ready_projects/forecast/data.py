"""Hourly demand for electricity, generated: 90 days. From day 60 on heat pumps make it follow the cold.

Put your own rows in the place of these: a file with the columns that anew.yaml declares. Run it: python data.py
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, CHANGE = 90, 60
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows() -> pl.DataFrame:
    """Return an hour each in time order, with what is known a day before: the forecast of the weather, and the past."""
    chance = np.random.default_rng(20260202)
    n = DAYS * 24
    hour, day = np.arange(n) % 24, np.arange(n) // 24
    weekday = (day + 3) % 7
    temperature = 6 + 5 * np.sin(day / 9) + 3 * np.sin((hour - 9) / 12 * np.pi) + chance.normal(scale=1.0, size=n)
    usual = 50 + 20 * np.sin((hour - 7) / 12 * np.pi) - 8 * (weekday >= 5)
    heating = np.where(day >= CHANGE, 2.5, 0.6) * np.maximum(0, 15 - temperature)
    load = usual + heating + chance.normal(scale=2.0, size=n)
    at = [START + timedelta(hours=i) for i in range(n)]
    frame = pl.DataFrame({"at": at, "hour": hour, "weekday": weekday, "temperature": temperature, "load_mw": load})
    past = [pl.col("load_mw").shift(24 * days).alias(f"load_{days}d_before") for days in (2, 7)]
    return frame.with_columns(past).tail(-7 * 24)


if __name__ == "__main__":
    made = rows()
    made.write_parquet("stream.parquet")
    made.head(made.height // 2).write_parquet("history.parquet")  # from before the change
