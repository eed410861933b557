"""whylogs: a profile of each side, then its drift algorithms on the two."""

import pandas as pd
import whylogs
from data import Values, answer
from whylogs.viz.drift.column_drift_algorithms import KS, ChiSquare

__all__ = ["values"]


def values(columns: dict[str, tuple[pd.Series, pd.Series]]) -> Values:
    """Score each column by the algorithms that are for it."""
    found: Values = {}
    for name, pair in columns.items():
        then, now = (whylogs.log(each.to_frame(name)).view().get_column(name) for each in pair)
        numeric = pd.api.types.is_numeric_dtype(pair[0])
        algorithms = {"ks": KS()} if numeric else {"chi": ChiSquare()}
        found[name] = {what: each.calculate(now, then).statistic for what, each in algorithms.items()}
    return found


if __name__ == "__main__":
    answer(whylogs.__version__, values)
