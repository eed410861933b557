"""A straight line through two columns."""

from collections.abc import Mapping
from typing import Any

import lightgbm

from anew.ports.pipeline import TrainingData


def train(data: TrainingData, params: Mapping[str, Any]) -> lightgbm.LGBMRegressor:
    """Fit linear trees; the same rows and seed give the same model."""
    model = lightgbm.LGBMRegressor(
        n_estimators=int(params.get("rounds", 60)),
        num_leaves=15,
        learning_rate=0.2,
        random_state=data.seed,
        n_jobs=1,
        deterministic=True,
        force_col_wise=True,
        verbose=-1,
    )
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
