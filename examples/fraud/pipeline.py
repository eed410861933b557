"""Gradient-boosted trees on what a payment is and on what it is for its customer."""

from collections.abc import Mapping
from typing import Any

import lightgbm
import polars as pl

from anew.ports.pipeline import TrainingData


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Add how large the payment is for this customer."""
    return rows.with_columns(ratio=pl.col("amount") / pl.col("usual"))


def train(data: TrainingData, params: Mapping[str, Any]) -> lightgbm.LGBMClassifier:
    """Fit trees; the same rows and seed give the same model."""
    model = lightgbm.LGBMClassifier(
        n_estimators=int(params.get("rounds", 40)),
        num_leaves=7,
        random_state=data.seed,
        n_jobs=1,
        deterministic=True,
        force_col_wise=True,
        verbose=-1,
    )
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
