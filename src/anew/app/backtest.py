"""`anew backtest`: which policy would have served this model best, and how far from what hindsight could do?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from anew.adapters.table_file import labelled_rows, read_table
from anew.app.backtest_fit import Bench, equal_windows, make_board
from anew.app.backtest_trigger import trigger_policies
from anew.app.settings import Settings
from anew.app.workers_of import workers_of
from anew.domain.errors import SettingsError
from anew.loop.backtest import Board, Model, Policy, Run, play
from anew.loop.backtest_policy import CostAware, EconomicPolicy, Every, InputDrift, LossDrift, Never
from anew.loop.backtest_report import PRICES, Hindsighted, hindsight_of
from anew.loop.columns import profile_columns
from anew.stats.column import ColumnProfile
from anew.stats.ddm import ddm_alarm
from anew.stats.distance import coarsen, ks, psi_deciles
from anew.stats.profile import Reference
from anew.trigger.economic import Economic

__all__ = ["Backtest", "BacktestOptions", "backtest"]

SPANS = (0, 20, 5)
"""Windows that models are trained on; 0 is all."""
USUAL_SPAN = 20
_PRICED = ("cost_aware", "economic")
_LEAST_WINDOWS = 10

Make = Callable[[], Policy]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """What the command line gives: `policies` empty for all, `label_delay` in windows."""

    data: Path
    policies: tuple[str, ...] = ()
    label_delay: int = 0
    windows: int = 100
    processes: int = 0


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """A board, hindsight on it, and what each policy did for each price; `left_out` says which could not be tried."""

    board: Board
    hindsight: Hindsighted
    runs: Mapping[str, Mapping[float, Run]]
    left_out: Mapping[str, str]


def backtest(
    settings: Settings, options: BacktestOptions, told: Callable[[int, int], None] = lambda *_: None
) -> Backtest:
    """Train the models of the board and replay policies over it.

    Parameters
    ----------
    told
        Called with the number of models trained so far, and of all.

    Raises
    ------
    SchemaError, NotFoundError, SettingsError, TrainingError
        The file does not fit the project, an option cannot be, or no first model can be trained.
    """
    frame = labelled_rows(read_table(options.data), settings.columns, options.data.name)
    if not _LEAST_WINDOWS <= options.windows <= frame.height // 2:
        most = frame.height // 2
        raise SettingsError(
            f"--windows {options.windows}: a backtest of {frame.height} rows takes {_LEAST_WINDOWS} to {most} windows"
        )
    if not 0 <= options.label_delay < options.windows - _LEAST_WINDOWS // 2:
        raise SettingsError(f"--label-delay {options.label_delay}: it has to leave labels within the stream")
    bench = Bench(settings=settings, frame=frame, bounds=equal_windows(frame.height, options.windows))
    known, left_out = _policies(bench, options.label_delay)
    chosen = _chosen(known, options.policies)
    workers = workers_of(settings, options.processes)
    board = make_board(bench, SPANS, data=options.data, workers=workers, told=told)
    found = hindsight_of(board, delay=options.label_delay)
    runs = {}
    for name in chosen:
        played = [
            play(known[name](), board, delay=options.label_delay, price=price * max(found.gain, 0.0))
            for price in (PRICES if name in _PRICED else PRICES[:1])
        ]
        runs[name] = dict(zip(PRICES, played * (1 if name in _PRICED else len(PRICES)), strict=True))
    return Backtest(board=board, hindsight=found, runs=runs, left_out=left_out)


def _chosen(known: Mapping[str, Make], asked: Sequence[str]) -> Sequence[str]:
    for name in asked:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else f" (known: {', '.join(known)})"
            raise SettingsError(f"--policies: there is no policy {name!r}{hint}")
    return list(asked) or list(known)


def _policies(bench: Bench, delay: int) -> tuple[dict[str, Make], dict[str, str]]:
    """Return the policies by name, and why some are left out."""
    span, drift = USUAL_SPAN, _Distances(bench)
    known: dict[str, Make] = {
        "economic": lambda: EconomicPolicy(Economic(), span),
        "never": Never,
        **{f"every_{k}": lambda k=k: Every(k, span) for k in (1, 5, 10, 20)},  # type: ignore[misc]  # a default binds k
        "psi": lambda: InputDrift(drift.psi, 0.25, 3, span),
        "ks": lambda: InputDrift(drift.ks, 0.1, 3, span),
        "ddm": lambda: LossDrift(ddm_alarm, span),
        "cost_aware": lambda: CostAware(span),
    }
    left_out = {}
    if find_spec("river") is None:
        left_out = dict.fromkeys(("adwin", "page_hinkley"), "needs the extra `streaming`")
    else:
        rise = import_module("anew.stats.rise")  # it imports river, which is an extra
        known["adwin"] = lambda: LossDrift(lambda losses: rise.adwin_rise(losses) is not None, span)
        known["page_hinkley"] = lambda: LossDrift(lambda losses: rise.page_hinkley_rise(losses) is not None, span)
    return known | trigger_policies(bench, span, delay), left_out


class _Distances:
    """Distances between a model's training rows and a window: the largest of all columns, each measured once."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._reference = cache(self._fitted)
        self.psi = cache(lambda model, window: self._largest(model, window, _psi))
        self.ks = cache(lambda model, window: self._largest(model, window, _ks))

    def _fitted(self, model: Model) -> Reference:
        board = self._bench.bounds
        low = board[max(model.end - model.span, 0)] if model.span else 0
        rows = self._bench.frame.slice(low, board[model.end] - low)
        return Reference.fit(profile_columns(rows, self._bench.settings.columns))

    def _largest(self, model: Model, window: int, distance: Callable[[ColumnProfile, ColumnProfile], float]) -> float:
        low, high = self._bench.bounds[window : window + 2]
        reference = self._reference(model)
        rows = self._bench.frame.slice(low, high - low)
        current = reference.profile(profile_columns(rows, self._bench.settings.columns))
        columns = reference.own.columns
        return max((distance(columns[name], current.columns[name]) for name in columns), default=0.0)


def _psi(reference: ColumnProfile, current: ColumnProfile) -> float:
    return psi_deciles(*coarsen(reference, current))


def _ks(reference: ColumnProfile, current: ColumnProfile) -> float:
    return ks(reference, current) if reference.kind == "numeric" else 0.0
