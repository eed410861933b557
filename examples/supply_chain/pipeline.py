"""Stock by gradient-boosted trees, and how a record that cannot be is mended."""

from collections.abc import Mapping
from typing import Any

import lightgbm
import polars as pl

from anew.ports.pipeline import TrainingData


def correct(rows: pl.DataFrame) -> pl.DataFrame:
    """Take back the returns that were booked twice: nobody can have less than nothing."""
    return rows.with_columns(pl.col("stock").clip(lower_bound=0))


def train(data: TrainingData, params: Mapping[str, Any]) -> lightgbm.LGBMRegressor:
    """Fit trees to stock as a count where the record allows it, else to the plain number."""
    counts = data.y.min() >= 0
    model = lightgbm.LGBMRegressor(
        objective="poisson" if counts else "regression",
        n_estimators=int(params.get("rounds", 60)),
        num_leaves=15,
        random_state=data.seed,
        n_jobs=1,
        deterministic=True,
        force_col_wise=True,
        verbose=-1,
    )
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
