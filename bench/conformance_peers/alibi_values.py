"""alibi-detect's detectors of one column."""

import alibi_detect
import numpy as np
import pandas as pd
from alibi_detect.cd import ChiSquareDrift, KSDrift
from data import Values, answer

__all__ = ["values"]


def values(columns: dict[str, tuple[pd.Series, pd.Series]]) -> Values:
    """Fit on the reference, predict on the current rows."""
    found: Values = {}
    for name, (first, second) in columns.items():
        if pd.api.types.is_numeric_dtype(first):
            told = KSDrift(np.asarray(first)[:, None]).predict(np.asarray(second)[:, None])["data"]
            found[name] = {"ks": told["distance"][0], "ks_p": told["p_val"][0]}
        else:
            codes = pd.Categorical([*first, *second]).codes.astype(int)
            told = ChiSquareDrift(codes[: len(first), None]).predict(codes[len(first) :, None])["data"]
            found[name] = {"chi": told["distance"][0], "chi_p": told["p_val"][0]}
    return found


if __name__ == "__main__":
    answer(alibi_detect.__version__, values)
