"""A spring of hourly demand: a city's bicycle rentals, which anew's demo comes with (CC BY 4.0, see README).

Run it: python data.py events.parquet
"""

import sys
from importlib.resources import as_file, files

import polars as pl

WEEKS = 8


def rows() -> pl.DataFrame:
    """Return the hours of eight weeks from the end of February 2012 on; the clocks change within them."""
    with as_file(files("anew.app") / "demo_project" / "bike_demand.parquet") as path:
        whole = pl.read_parquet(path)
    start = pl.datetime(2012, 2, 27)
    return whole.filter((pl.col("ts") >= start) & (pl.col("ts") < start + pl.duration(weeks=WEEKS)))


if __name__ == "__main__":
    rows().write_parquet(sys.argv[1])
