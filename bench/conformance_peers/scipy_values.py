"""SciPy's distances and tests, on the raw values or on counts by level."""

import numpy as np
import pandas as pd
import scipy
from data import Values, answer
from scipy import stats
from scipy.spatial.distance import jensenshannon

__all__ = ["values"]


def values(columns: dict[str, tuple[pd.Series, pd.Series]]) -> Values:
    """Measure each column."""
    found: Values = {}
    for name, (first, second) in columns.items():
        if pd.api.types.is_numeric_dtype(first):
            told = stats.ks_2samp(first, second, method="asymp")
            found[name] = {
                "ks": told.statistic,
                "ks_p": told.pvalue,
                "wasserstein": stats.wasserstein_distance(first, second),
            }
            continue
        levels = sorted({*first, *second})
        counts = np.array([each.value_counts().reindex(levels, fill_value=0) for each in (first, second)])
        chi = stats.chi2_contingency(counts, correction=False)
        p, q = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)
        found[name] = {
            "chi": chi.statistic,
            "chi_p": chi.pvalue,
            "jensenshannon": jensenshannon(*counts, base=2),
            "entropy": stats.entropy(q, p),
            "total_variation": 0.5 * stats.wasserstein_distance_nd(*_simplex(counts)) * 2**0.5,
        }
    return found


def _simplex(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return levels as corners that are all equally far apart: moving mass between them costs total variation."""
    corners = np.eye(counts.shape[1])
    return corners, corners, counts[0] / counts[0].sum(), counts[1] / counts[1].sum()


if __name__ == "__main__":
    answer(scipy.__version__, values)
