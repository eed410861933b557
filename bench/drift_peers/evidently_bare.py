"""Evidently's statistical functions alone, those that its default report would choose, without the report."""

import pandas as pd
from clock import judge
from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test
from evidently.legacy.core import ColumnType

__all__ = ["distances"]


def distances(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Call one function for each column: Wasserstein distance for numbers, Jensen-Shannon distance for categories."""
    drifted = []
    for name in reference.columns:
        numeric = pd.api.types.is_numeric_dtype(reference[name])
        test = wasserstein_stat_test if numeric else jensenshannon_stat_test
        kind = ColumnType.Numerical if numeric else ColumnType.Categorical
        if test(reference[name], current[name], kind, None).drifted:
            drifted.append(name)
    return drifted


if __name__ == "__main__":
    judge(distances)
