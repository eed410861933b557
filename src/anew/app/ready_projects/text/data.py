"""Messages to a help desk, generated from a small vocabulary: 60 a day for 80 days. From day 40 on, an app pays bills.

Put your own rows in the place of these: a file with the columns that anew.yaml declares. Run it: python data.py
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, A_DAY, CHANGE = 80, 60, 40
START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = {
    "billing": ["invoice", "charged", "refund", "twice", "payment", "price", "card", "bank"],
    "technical": ["error", "crash", "login", "password", "app", "slow", "update", "screen"],
    "delivery": ["parcel", "late", "courier", "address", "missing", "door", "tracking", "box"],
}
LATER = {"billing": ["app", "screen", "login", "slow", "wallet", "tap", "declined"]}
FILLING = ["the", "my", "please", "again", "since", "yesterday", "help", "not", "with", "order"]


def rows() -> pl.DataFrame:
    """Return the messages in time order, each with the desk that it belongs to."""
    chance = np.random.default_rng(20260203)
    desks = chance.choice(list(WORDS), DAYS * A_DAY).tolist()
    texts = []
    for i, desk in enumerate(desks):
        known = LATER.get(desk, WORDS[desk]) if i // A_DAY >= CHANGE else WORDS[desk]
        words = [*chance.choice(known, 3), *chance.choice(FILLING, 5)]
        texts.append(" ".join(chance.permutation(words)))
    at = [START + timedelta(seconds=86_400 / A_DAY * i) for i in range(DAYS * A_DAY)]
    return pl.DataFrame({"at": at, "message": texts, "desk": desks})


if __name__ == "__main__":
    made = rows()
    made.write_parquet("stream.parquet")
    made.head(made.height // 2).write_parquet("history.parquet")  # from before the change
