"""What every peer's program reads and writes: columns as JSON in, values as JSON out."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

__all__ = ["answer"]

Values = dict[str, dict[str, float]]


def answer(version: str, measure: Callable[[dict[str, tuple[pd.Series, pd.Series]]], Values]) -> None:
    """Measure the columns in the file on the command line; print version and values by column and measure."""
    held = json.loads(Path(sys.argv[1]).read_text())
    columns = {name: (pd.Series(first), pd.Series(second)) for name, (first, second) in held.items()}
    plain = {
        name: {what: float(value) for what, value in each.items()} for name, each in measure(columns).items() if each
    }
    json.dump({"version": version, "values": plain}, sys.stdout)
