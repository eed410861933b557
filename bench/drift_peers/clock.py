"""What every peer's program does alike: print its verdict, and the CPU seconds from loaded data to it."""

import json
import resource
import sys
from collections.abc import Callable, Iterable

import pandas as pd

__all__ = ["judge"]


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def judge(verdict: Callable[[pd.DataFrame, pd.DataFrame], Iterable[str]]) -> None:
    """Read the two files named on the command line and print the columns found to have drifted."""
    reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
    started = _spent()
    drifted = sorted(verdict(reference, current))
    json.dump({"drifted": drifted, "work_s": _spent() - started}, sys.stdout)
