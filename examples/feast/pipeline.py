"""Fraud from the amount beside what the customer usually pays; nothing here knows where that comes from."""

from collections.abc import Mapping
from typing import Any

import lightgbm as lgb
import polars as pl

from anew.ports.pipeline import TrainingData


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Return how many times the usual amount is paid, and how often the customer orders."""
    return rows.select((pl.col("amount") / pl.col("usual")).log().alias("times"), "orders")


def train(data: TrainingData, params: Mapping[str, Any]) -> lgb.LGBMClassifier:
    """Fit a small boosted model; deterministic for a seed."""
    rounds = int(params.get("rounds", 40))
    model = lgb.LGBMClassifier(
        n_estimators=rounds, num_leaves=7, random_state=data.seed, n_jobs=1, deterministic=True, verbose=-1
    )
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
