"""Hourly bike demand from weather and calendar."""

from collections.abc import Mapping
from typing import Any

import lightgbm as lgb
import polars as pl

from anew.ports.pipeline import TrainingData

WEATHER = {"clear": 0.0, "mist": 1.0, "rain": 2.0}


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Turn the weather into a number; what is unknown becomes missing."""
    return rows.with_columns(pl.col("weather").replace_strict(WEATHER, default=None, return_dtype=pl.Float64))


def train(data: TrainingData, params: Mapping[str, Any]) -> lgb.LGBMRegressor:
    """Fit boosted trees on the squared error; deterministic for a seed."""
    model = lgb.LGBMRegressor(
        n_estimators=int(params.get("rounds", 80)),
        num_leaves=31,
        learning_rate=0.1,
        random_state=data.seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
