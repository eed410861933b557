"""PyTorch's models are kept and served without pickle, and answer as the module did; run by `make test-torch`."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch  # type: ignore[import-not-found,unused-ignore]  # installed where these tests run, not where types are checked

from anew.adapters.model_format import DataFormats
from anew.adapters.model_format_torch import TorchFormat
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import TrainingError
from anew.loop.training import Kit, Recipe, fit

KIT = Kit(formats=DataFormats(), loader=ModelLoader())

PIPELINE = """
import torch

def train(data, params):
    torch.manual_seed(data.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    x = torch.tensor(data.x.to_numpy(), dtype=torch.float32)
    classify = not data.y.dtype.is_float()
    last = [torch.nn.Softmax(dim=1)] if classify else []
    hidden = [torch.nn.Linear(x.shape[1], 8), torch.nn.ReLU(), torch.nn.BatchNorm1d(8)]
    model = torch.nn.Sequential(*hidden, torch.nn.Linear(8, 2 if classify else 1))
    y = torch.tensor(data.y.to_numpy().copy(), dtype=torch.long if classify else torch.float32)
    loss = torch.nn.CrossEntropyLoss() if classify else (lambda out, y: torch.nn.functional.mse_loss(out[:, 0], y))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    return torch.nn.Sequential(*model, *last)
"""


def rows(task: Task, n: int = 400) -> pl.DataFrame:
    chance = np.random.default_rng(5)
    a, b = chance.normal(size=(2, n))
    at = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2026, 1, 1), "1h", time_zone="UTC", eager=True)
    label = pl.Series((a + b > 0).astype(int)) if task.classifies else pl.Series(2 * a - b)
    return pl.DataFrame({"_at": at.head(n), "_label": label, "a": a, "b": b})


def columns(task: Task) -> Columns:
    features = tuple(Column(name=name, kind=ColumnKind.NUMBER) for name in ("a", "b"))
    classes = (0, 1) if task.classifies else ()
    return Columns(time="at", target="y", task=task, classes=classes, features=features)


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_a_module_is_trained_kept_as_a_graph_and_served(task: Task, tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    pipeline = load_pipeline(tmp_path / "pipeline.py")
    recipe = Recipe(columns=columns(task), seed=3, holdout_rows=100)
    first, again = (fit(rows(task), recipe, pipeline, KIT).candidate for _ in range(2))
    assert first.manifest.format == "onnx"
    assert first.digest == again.digest
    assert not any(b"pickle" in data for name, data in first.files.items() if name.endswith(".onnx"))
    predictor = ModelLoader().assemble(first, pipeline=pipeline, version="v1")
    held = rows(task).tail(100)
    output = predictor.predict(held).output.to_numpy()
    wrong = np.abs(output - held["_label"].to_numpy())
    assert wrong.mean() < (0.1 if task.classifies else 0.5)


class Doubling(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # torch has no types here
    """Answers differently each time that it is asked, as a module that keeps counts would."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.calls = 0

    def forward(self, x: Any) -> Any:
        """Answer."""
        self.calls += 1
        return self.layer(x) * float(self.calls)


class Shapeless(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # torch has no types here
    """Does not say how many inputs it takes."""

    def forward(self, x: Any) -> Any:
        """Answer."""
        return x


def test_a_graph_that_answers_otherwise_than_its_module_ends_the_run() -> None:
    with pytest.raises(TrainingError, match="answers otherwise"):
        TorchFormat().encode(Doubling())


def test_the_number_of_inputs_has_to_be_known() -> None:
    with pytest.raises(TrainingError, match="n_features_in_"):
        TorchFormat().encode(Shapeless())
    told = Shapeless()
    told.n_features_in_ = 2
    assert hashlib.sha256(TorchFormat().encode(told)).hexdigest()


def test_labels_of_the_module_are_kept() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Softmax(dim=1))
    assert DataFormats().accepting(model).classes(model) is None
    model.classes_ = np.array(["no", "yes"])
    assert DataFormats().accepting(model).classes(model) == ["no", "yes"]
