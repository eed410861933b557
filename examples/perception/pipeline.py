"""What a picture shows, from its embedding, by gradient-boosted trees."""

from collections.abc import Mapping
from typing import Any

import lightgbm

from anew.ports.pipeline import TrainingData


def train(data: TrainingData, params: Mapping[str, Any]) -> lightgbm.LGBMClassifier:
    """Fit trees on the numbers of the embedding, one column each; the same rows and seed give the same model."""
    model = lightgbm.LGBMClassifier(
        n_estimators=int(params.get("rounds", 30)),
        num_leaves=7,
        random_state=data.seed,
        n_jobs=1,
        deterministic=True,
        force_col_wise=True,
        verbose=-1,
    )
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
