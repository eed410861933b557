"""Card payments, generated: 60 a day for 80 days, some of them fraud. From day 40 on the fraud is of another kind.

Put your own rows in the place of these: a file with the columns that anew.yaml declares. Run it: python data.py
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, A_DAY, CHANGE = 80, 60, 40
START = datetime(2026, 1, 1, tzinfo=UTC)
COUNTRIES, CHANNELS = ("DE", "FR", "PL", "US"), ("shop", "web", "app")


def rows() -> pl.DataFrame:
    """Return the payments in time order."""
    chance = np.random.default_rng(20260201)
    n = DAYS * A_DAY
    late = np.arange(n) // A_DAY >= CHANGE
    amount = np.round(chance.lognormal(3.5, 0.8, n), 2)
    age = chance.integers(18, 90, n)
    country, channel = chance.choice(COUNTRIES, n), chance.choice(CHANNELS, n, p=[0.5, 0.3, 0.2])
    hour = (np.arange(n) % A_DAY) * 24 // A_DAY
    before = 1.2 * (amount > 60) + 1.0 * (channel == "web") + 0.8 * (hour < 6)
    after = 1.2 * (amount < 20) + 1.0 * (channel == "app") + 0.8 * (country == "US")
    score = np.where(late, after, before) + chance.normal(scale=0.2, size=n)
    at = [START + timedelta(seconds=86_400 / A_DAY * i) for i in range(n)]
    return pl.DataFrame(
        {
            "at": at,
            "customer": [f"c{each}" for each in chance.integers(0, 900, n)],
            "amount": amount,
            "age": age,
            "hour": hour,
            "country": country,
            "channel": channel,
            "is_fraud": (score > 1.7).astype(int),
        }
    )


if __name__ == "__main__":
    made = rows()
    made.write_parquet("stream.parquet")
    made.head(made.height // 2).write_parquet("history.parquet")  # from before the change
