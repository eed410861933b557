"""The training job with its adapters: what compute runs, in two processes, as `FIT` and `FINISH`."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.onnx_export import OnnxExporter
from anew.adapters.optuna_search import OptunaStudy
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.trial_mail import ASKED, TOLD, TrialMail
from anew.adapters.trial_pool import TrialPool
from anew.loop.search import SearchPlan
from anew.loop.training import Kit
from anew.loop.training_run import Searching, TrainingRun, finish_run, fit_run, run_scores
from anew.ports.pipeline import Pipeline
from anew.ports.search import Scores

__all__ = ["FINISH", "FIT", "TRIALS", "finish", "fit", "open_study", "read_run", "training_kit"]

FIT = "anew.app.training_job:fit"
FINISH = "anew.app.training_job:finish"
TRIALS = "anew.app.trial_worker"


def training_kit() -> Kit:
    """Return the formats, the loader and the exporter that training uses, in a job and in a replay alike."""
    return Kit(formats=DataFormats(), loader=ModelLoader(), exporter=OnnxExporter())


def open_study(plan: SearchPlan, seed: int, journal: Path | None) -> OptunaStudy:
    """Open the trials of a search; without a file they are kept in memory."""
    return OptunaStudy(journal, seed=seed, trials=plan.trials, warm=plan.warm)


def read_run(file: Path) -> TrainingRun:
    """Return the run that a JSON file tells of."""
    return TrainingRun.from_json(file.read_text("utf-8"))


def fit(arguments: Mapping[str, str], folder: Path) -> None:
    """Search and fit as the JSON file ``run`` says; a draft goes to `folder`."""
    order, kit = Path(arguments["run"]), training_kit()
    with ExitStack() as stack:

        def scores(run: TrainingRun, rows: pl.DataFrame, pipeline: Pipeline, previous: object | None) -> Scores:
            if ASKED in arguments:
                return TrialMail(asked=Path(arguments[ASKED]), told=Path(arguments[TOLD])).scores
            if run.search is not None and run.search.parallel > 1:
                return stack.enter_context(TrialPool(TRIALS, order)).scores
            return run_scores(run, rows, pipeline, kit, previous)

        fit_run(read_run(order), folder, kit, load_pipeline, Searching(study=open_study, scores=scores))


def finish(arguments: Mapping[str, str], folder: Path) -> None:
    """Prove the draft in `folder`, and leave the artifact and the outcome there."""
    finish_run(read_run(Path(arguments["run"])), folder, training_kit(), load_pipeline)
