"""Text through a hashing vectoriser, which keeps no vocabulary and hence no state, then logistic regression.

Edit it freely: a change is seen, recorded, and part of the next version. Keep all of your code in this one file, or in
packages that are installed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from anew.ports.pipeline import TrainingData

WIDTH = 128
VECTORISER = HashingVectorizer(n_features=WIDTH, alternate_sign=False, norm="l2", dtype=np.float64)


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Turn each message into word frequencies in a fixed number of buckets."""
    words = VECTORISER.transform(rows.get_column("message").fill_null("").to_list()).toarray()
    return pl.DataFrame({f"w{i}": words[:, i] for i in range(WIDTH)})


def train(data: TrainingData, params: Mapping[str, Any]) -> LogisticRegression:
    """Fit one weight for each bucket and desk."""
    model = LogisticRegression(C=float(params.get("C", 10.0)), max_iter=300)
    return model.fit(data.x.to_numpy(), data.y.to_numpy(), sample_weight=data.weight.to_numpy())
