"""The rows that the drift bench compares: seeded, of many shapes, four of thirty columns really drifted."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["CATEGORIES", "DRIFTED", "NUMBERS", "write_rows"]

NUMBERS = tuple(f"x{i:02}" for i in range(20))
CATEGORIES = tuple(f"c{i}" for i in range(10))
DRIFTED = ("c2", "x03", "x07", "x12")
"""The truth: a level lost a third, a mean moved by 0.2 sd, a skewed column spread by 20 %, 3 % of values doubled."""

_SIZES = (5, 8, 12, 20, 50, 100, 200, 400, 700, 1000)
_STEP = 250_000


def _number(index: int, rng: np.random.Generator, n: int) -> np.ndarray:
    if index % 4 == 1:
        return rng.lognormal(sigma=1.0, size=n)
    if index % 4 == 2:
        return rng.gamma(2.0, 10.0, size=n)
    if index % 5 == 4:
        return rng.random(n) * 1000.0
    return rng.normal(loc=index, scale=1.0 + index / 10, size=n)


def _moved(name: str, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if name == "x03":
        return values + 0.2 * (1.0 + 3 / 10)
    if name == "x07":
        return values + 0.2 * (values - 7.0)
    if name == "x12":
        return np.where(rng.random(len(values)) < 0.03, values * 2.0, values)
    return values


def _shares(size: int, drifted: bool) -> np.ndarray:
    shares = 1.0 / np.arange(1, size + 1) ** 0.8
    if drifted:
        shares[1] *= 2 / 3
    return shares / shares.sum()


def _batch(seed: tuple[int, ...], n: int, drifted: bool) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    for index, name in enumerate(NUMBERS):
        values = _number(index, rng, n)
        columns[name] = pa.array(_moved(name, values, rng) if drifted else values)
    for name, size in zip(CATEGORIES, _SIZES, strict=True):
        shares = _shares(size, drifted and name in DRIFTED)
        codes = np.minimum(np.searchsorted(shares.cumsum(), rng.random(n)), size - 1)
        levels = pa.array([f"{name} level {level:04}" for level in range(size)])
        columns[name] = levels.take(pa.array(codes))
    return pa.table(columns)


def write_rows(file: Path, rows: int, *, seed: int, drifted: bool) -> None:
    """Write so many rows of 20 numbers and 10 categories of 5 to 1,000 levels, with Parquet's defaults."""
    started = file.with_suffix(".part")
    schema = _batch((seed, 0), 1, drifted).schema
    with pq.ParquetWriter(started, schema) as writer:
        group: list[pa.Table] = []
        for number, start in enumerate(range(0, rows, _STEP)):
            group.append(_batch((seed, number), min(_STEP, rows - start), drifted))
            if len(group) == 4 or start + _STEP >= rows:
                writer.write_table(pa.concat_tables(group))
                group.clear()
    started.rename(file)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    write_rows(Path(asked["file"]), asked["rows"], seed=asked["seed"], drifted=asked["drifted"])
