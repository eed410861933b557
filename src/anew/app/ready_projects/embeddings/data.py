"""Embeddings of pictures, generated: 60 a day for 80 days, three kinds of things. From day 40 on the camera is another.

Put your own rows in the place of these: a file whose embedding column holds lists of one length. Run it: python data.py
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, A_DAY, CHANGE, WIDTH = 80, 60, 40, 16
START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("cat", "dog", "fox")


def rows() -> pl.DataFrame:
    """Return the pictures in time order, as one column of vectors, with what people saw in them."""
    chance = np.random.default_rng(20260204)
    n = DAYS * A_DAY
    centres, moved = chance.normal(scale=0.6, size=(2, len(KINDS), WIDTH))
    kind = chance.choice(len(KINDS), n)
    late = (np.arange(n) // A_DAY >= CHANGE)[:, None]
    picture = np.where(late, moved[kind], centres[kind]) + chance.normal(size=(n, WIDTH))
    at = [START + timedelta(seconds=86_400 / A_DAY * i) for i in range(n)]
    embedding = pl.Series("embedding", picture, dtype=pl.Array(pl.Float64, WIDTH))
    return pl.DataFrame({"at": at, "embedding": embedding, "kind": [KINDS[each] for each in kind]})


if __name__ == "__main__":
    made = rows()
    made.write_parquet("stream.parquet")
    made.head(made.height // 2).write_parquet("history.parquet")  # from before the change
