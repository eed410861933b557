"""Evidently's statistical functions."""

import evidently
import numpy as np
import pandas as pd
from data import Values, answer
from evidently.legacy.calculations.stattests import (
    chi_stat_test,
    jensenshannon_stat_test,
    kl_div_stat_test,
    ks_stat_test,
    psi_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.calculations.stattests.mmd_stattest import mmd_pval
from evidently.legacy.core import ColumnType

__all__ = ["values"]


def values(columns: dict[str, tuple[pd.Series, pd.Series]]) -> Values:
    """Call each function on each column that it is for."""
    found: Values = {}
    for name, (first, second) in columns.items():
        numeric = pd.api.types.is_numeric_dtype(first)
        kind = ColumnType.Numerical if numeric else ColumnType.Categorical
        tests = {"psi": psi_stat_test, "kl_div": kl_div_stat_test, "jensenshannon": jensenshannon_stat_test}
        tests |= {"wasserstein": wasserstein_stat_test, "ks_p": ks_stat_test} if numeric else {"chi_p": chi_stat_test}
        found[name] = {what: test(first, second, kind, None).drift_score for what, test in tests.items()}
        if numeric:
            np.random.seed(0)
            pair = (np.asarray(each)[:200, None] for each in (first, second))
            found[name]["mmd"] = mmd_pval(*pair)[1]
    return found


if __name__ == "__main__":
    answer(evidently.__version__, values)
