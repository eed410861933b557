"""A small network in PyTorch. It is kept as an ONNX graph, never as a pickle, and served without PyTorch.

Edit it freely: a change is seen, recorded, and part of the next version. Keep all of your code in this one file, or in
packages that are installed.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl
import torch

from anew.ports.pipeline import TrainingData


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Put 0, the usual reading, in the place of one that is missing: of that a network makes no answer."""
    return rows.fill_null(0.0)


def train(data: TrainingData, params: Mapping[str, Any]) -> torch.nn.Module:
    """Fit two layers; the same rows, parameters and seed give the same network. Its answers are probabilities."""
    torch.manual_seed(data.seed)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)
    x = torch.tensor(data.x.to_numpy(), dtype=torch.float32)
    y = torch.tensor(data.y.to_numpy().copy(), dtype=torch.long)
    hidden = int(params.get("hidden", 16))
    layers = [torch.nn.BatchNorm1d(x.shape[1]), torch.nn.Linear(x.shape[1], hidden), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(hidden, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(int(params.get("epochs", 120))):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return torch.nn.Sequential(*model, torch.nn.Softmax(dim=1))
