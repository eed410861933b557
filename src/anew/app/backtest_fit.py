"""The fits of a backtest: each model of the board trained and scored once, in processes of their own."""

import atexit
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.adapters.loss_store import LossStore
from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.table_file import labelled_rows, read_table
from anew.app.settings import FILE, Settings, load
from anew.domain.column import Task
from anew.domain.errors import TrainingError
from anew.loop.backtest import Board, Model
from anew.loop.measure import Values, as_values
from anew.loop.replay_stream import TrainedVersion
from anew.loop.training import SAMPLE_ROWS, Kit, Recipe, fit, installed_packages
from anew.ports.workers import Workers

__all__ = ["Bench", "equal_windows", "first_windows", "make_board", "reported_losses", "train_model"]

_LossArray = npt.NDArray[np.float32]
_SEED = 20
"""Of every fit of a backtest: two policies that fit the same rows get the same model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A stream cut into windows, and the project whose pipeline is trained on it."""

    settings: Settings
    frame: pl.DataFrame
    bounds: tuple[int, ...]

    @property
    def spread(self) -> float:
        """What absolute errors are divided by: the target's standard deviation; 1 for classes."""
        if self.settings.task.classifies:
            return 1.0
        return float(np.std(self.frame.get_column("_label").to_numpy())) or 1.0


def equal_windows(rows: int, windows: int) -> tuple[int, ...]:
    """Return the rows at which `windows` windows of equal size begin, and the number of rows."""
    return tuple(int(each) for each in np.linspace(0, rows, windows + 1))


def first_windows(windows: int) -> int:
    """Return how many windows the first model is trained on: a twentieth of them, two at least."""
    return max(2, round(windows / 20))


def reported_losses(task: Task, label: Values, output: Values, spread: float) -> npt.NDArray[np.float64]:
    """Return errors (0 or 1), or absolute errors over `spread`; an answer that is not finite has lost `1`."""
    if task.classifies:
        return np.asarray(label != output, dtype=np.float64)
    error = np.abs(label - output) / spread
    return np.where(np.isfinite(error), error, 1.0)


def make_board(
    bench: Bench, spans: Sequence[int], *, data: Path, workers: Workers, told: Callable[[int, int], None]
) -> Board:
    """Train and score the models of every window and span, those that are kept already excepted.

    What is done is kept, so that a backtest whose workers were lost goes on when it is begun again.

    Parameters
    ----------
    data
        The file that `bench.frame` was read from: workers read it themselves.
    told
        Called with the number of models done and of all.

    Raises
    ------
    TrainingError
        Not even the first model could be trained.
    UnavailableError
        A worker was lost.
    """
    windows, first = len(bench.bounds) - 1, first_windows(len(bench.bounds) - 1)
    empty = Board(bounds=bench.bounds, first=first, spans=tuple(spans), rows={Model(first, 0): np.empty(0, np.float32)})
    models = sorted({empty.model(end, span) for end in range(first, windows) for span in spans})
    keys = _keys(bench, models)
    store = LossStore(bench.settings.state / "backtest")
    found = {each: store.get(keys[each], bench.bounds[-1] - bench.bounds[each.end]) for each in models}
    missing = [each for each in models if found[each] is None]
    done = len(models) - len(missing)
    told(done, len(models))
    for model, losses in _fitted(bench, empty, missing, data, workers):
        store.put(keys[model], losses)
        found[model] = losses
        done += 1
        told(done, len(models))
    rows = {each: losses for each, losses in found.items() if losses is not None and losses.size}
    if Model(first, 0) not in rows:
        raise TrainingError("error", f"no model could be trained on the first {first} windows; try fewer windows")
    return Board(bounds=bench.bounds, first=first, spans=tuple(spans), rows=rows)


def _fitted(
    bench: Bench, board: Board, models: Sequence[Model], data: Path, workers: Workers
) -> Iterator[tuple[Model, _LossArray]]:
    """Yield models with their losses, in some order."""
    files = (bench.settings.root / FILE, bench.settings.pipeline, data)
    enclosed = None if workers.reads_our_files else tuple(file.read_bytes() for file in files)
    told = _Told(files=files, enclosed=enclosed, bounds=bench.bounds)
    jobs = [board.trained_on(each) for each in models]
    for number, losses in workers.each(_begin, told, _work, jobs):
        yield models[number], losses


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a worker is told: the project's two files and the data, by path or with what is in them, and the windows."""

    files: tuple[Path, Path, Path]
    enclosed: tuple[bytes, ...] | None
    bounds: tuple[int, ...]


def _begin(told: _Told) -> Bench:
    if told.enclosed is None:
        return _read(told.files, told.bounds)
    folder = mkdtemp(prefix="anew-backtest-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # the pipeline is read again for each fit
    here = tuple(Path(folder, file.name) for file in told.files)
    for file, content in zip(here, told.enclosed, strict=True):
        file.write_bytes(content)
    return _read(here, told.bounds)


def _read(files: Sequence[Path], bounds: tuple[int, ...]) -> Bench:
    policy, _, data = files
    settings = load(policy.parent)
    frame = labelled_rows(read_table(data), settings.columns, data.name)
    return Bench(settings=settings, frame=frame, bounds=bounds)


def _work(bench: Bench, rows: tuple[int, int]) -> _LossArray:
    return _losses(bench, *rows)


def train_model(bench: Bench, low: int, high: int, *, sample: bool = False, traits: bool = False) -> TrainedVersion:
    """Train on rows `low` up to `high`, with what detectors need to be stored beside.

    Raises
    ------
    TrainingError
        Nothing came of it.
    """
    settings, loader = bench.settings, ModelLoader()
    pipeline = load_pipeline(settings.pipeline)
    recipe = Recipe(
        columns=settings.columns,
        seed=_SEED,
        params=settings.policy.train.params,
        sample_rows=SAMPLE_ROWS if sample else 0,
        traits=traits,
    )
    fitted = fit(bench.frame.slice(low, high - low), recipe, pipeline, Kit(formats=DataFormats(), loader=loader))
    predictor = loader.assemble(fitted.candidate, pipeline=pipeline, version=f"{low}-{high}")
    return TrainedVersion(predictor=predictor, yardstick=fitted.yardstick)


def _losses(bench: Bench, low: int, high: int) -> _LossArray:
    """Train on rows `low` up to `high` and return the losses of all that come after; none if that fails."""
    task = bench.settings.task
    try:
        said = train_model(bench, low, high).predictor.predict(bench.frame.slice(high)).output
    except TrainingError:
        return np.empty(0, dtype=np.float32)
    label = as_values(bench.frame.get_column("_label").slice(high), task)
    return reported_losses(task, label, as_values(said, task), bench.spread).astype(np.float32)


def _keys(bench: Bench, models: Sequence[Model]) -> dict[Model, str]:
    """Return the address of each model's losses: all that they follow from."""
    settings = bench.settings
    windows = [
        _digest(bench.frame.slice(low, high - low))
        for low, high in zip(bench.bounds[:-1], bench.bounds[1:], strict=True)
    ]
    common = json.dumps(
        [
            settings.code,
            repr(settings.columns),
            repr(sorted(settings.policy.train.params.items())),
            installed_packages(),
            _SEED,
            bench.spread,
        ]
    )
    found = {}
    for model in models:
        trained = windows[max(model.end - model.span, 0) if model.span else 0 : model.end]
        content = "\n".join([common, *trained, "scored", *windows[model.end :]])
        found[model] = hashlib.sha256(content.encode()).hexdigest()
    return found


def _digest(rows: pl.DataFrame) -> str:
    written = BytesIO()
    rows.write_ipc(written, compression="uncompressed")
    return hashlib.sha256(written.getvalue()).hexdigest()
