"""A forecast from calendar, weather and the same hour of days before, by gradient-boosted trees.

Edit it freely: a change is seen, recorded, and part of the next version. Keep all of your code in this one file, or in
packages that are installed.
"""

import math
from collections.abc import Mapping
from typing import Any

import lightgbm
import polars as pl

from anew.ports.pipeline import TrainingData


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Turn the hour of the day into a place on a circle; the rest goes to the model as it is.

    The same function runs in training and for each request. It sees one row at a time there: what looks back, such as
    the load of days before, has to come with the row.
    """
    turn = pl.col("hour") * (2 * math.pi / 24)
    return rows.with_columns(turn.sin().alias("hour_sin"), turn.cos().alias("hour_cos"))


def train(data: TrainingData, params: Mapping[str, Any]) -> lightgbm.LGBMRegressor:
    """Fit trees on the squared error; newer rows weigh more. The same rows, parameters and seed give the same model."""
    settings = {"n_estimators": 100, "num_leaves": 15, "learning_rate": 0.1} | dict(params)
    model = lightgbm.LGBMRegressor(
        **settings,
        random_state=data.seed,
        deterministic=True,
        force_col_wise=True,  # the automatic choice depends on how busy the machine is
        n_jobs=1,
        verbose=-1,
    )
    age = (data.at.max() - data.at).dt.total_seconds().to_numpy() / 86_400
    weight = data.weight.to_numpy() * 0.5 ** (age / 30)  # half in thirty days
    return model.fit(data.x.to_numpy(), data.y.to_numpy(), sample_weight=weight)
