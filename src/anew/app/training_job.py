"""The training job with its adapters: what compute runs as ``anew.app.training_job:run``."""

from collections.abc import Mapping
from pathlib import Path

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.loop.training import Kit
from anew.loop.training_run import TrainingRun, run_training

__all__ = ["ENTRY", "run", "training_kit"]

ENTRY = "anew.app.training_job:run"


def training_kit() -> Kit:
    """Return the formats and the loader that training uses, in a job and in a replay alike."""
    return Kit(formats=DataFormats(), loader=ModelLoader())


def run(arguments: Mapping[str, str], folder: Path) -> None:
    """Do the run whose JSON file `arguments` names as ``run``; results go to `folder`."""
    text = Path(arguments["run"]).read_text("utf-8")
    run_training(TrainingRun.from_json(text), folder, training_kit(), load_pipeline)
