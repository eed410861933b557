"""Reviews through a hashing vectoriser, which keeps no vocabulary and hence no state, then logistic regression."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from anew.ports.pipeline import TrainingData

WIDTH = 64
VECTORISER = HashingVectorizer(n_features=WIDTH, alternate_sign=False, norm="l2", dtype=np.float64)


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Turn each review into word frequencies in a fixed number of buckets."""
    words = VECTORISER.transform(rows.get_column("review").fill_null("").to_list()).toarray()
    return pl.DataFrame({f"w{i}": words[:, i] for i in range(WIDTH)})


def train(data: TrainingData, params: Mapping[str, Any]) -> LogisticRegression:
    """Fit one weight for each bucket and label."""
    model = LogisticRegression(C=float(params.get("C", 10.0)), max_iter=200)
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
