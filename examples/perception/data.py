"""Embeddings of camera pictures, generated: 400 a day for forty days, three kinds of things on the road.

On day 12 a quarter of the pictures is unlike any in training: fog, gone the next day. From day 24 on it is a quarter
every day: a new camera, that sees the same three kinds with other numbers. Run it: python data.py events.parquet
"""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAYS, A_DAY, WIDTH, NEW_CAMERA, FOG = 40, 400, 16, 24, 12
START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("car", "cyclist", "pedestrian")


def rows() -> pl.DataFrame:
    """Return the pictures in time order, as embeddings (one column of vectors), with what people saw in them."""
    chance = np.random.default_rng(20260105)
    centres = chance.normal(scale=2.0, size=(len(KINDS), WIDTH))
    shift = np.where(np.arange(WIDTH) < WIDTH // 2, 6.0, 0.0)
    count = DAYS * A_DAY
    day = np.arange(count) // A_DAY
    kind = chance.choice(len(KINDS), count, p=[0.5, 0.2, 0.3])
    picture = centres[kind] + chance.normal(size=(count, WIDTH))
    strange = ((day == FOG) | (day >= NEW_CAMERA)) & (chance.random(count) < 0.25)
    picture[strange] = (
        centres[(kind[strange] + 1) % len(KINDS)] + shift + chance.normal(size=(int(strange.sum()), WIDTH))
    )
    at = [START + timedelta(seconds=86_400 / A_DAY * i) for i in range(count)]
    embedding = pl.Series("embedding", picture, dtype=pl.Array(pl.Float64, WIDTH))
    return pl.DataFrame({"at": at, "embedding": embedding, "kind": [KINDS[each] for each in kind]})


if __name__ == "__main__":
    rows().write_parquet(sys.argv[1])
