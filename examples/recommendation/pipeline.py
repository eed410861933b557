"""How likely a click is, by logistic regression."""

from collections.abc import Mapping
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from anew.ports.pipeline import TrainingData


def train(data: TrainingData, params: Mapping[str, Any]) -> Pipeline:
    """Fit on price, fit and whether the visitor has come back."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=float(params.get("C", 1.0))))
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
