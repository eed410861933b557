"""What gates and rollout take from the policy that a backtest chose: the same decisions, through the real loop."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from anew.adapters.table_file import labelled_rows, read_table
from anew.app.backtest import USUAL_SPAN, Backtest, BacktestOptions
from anew.app.backtest_fit import Bench, equal_windows, first_windows
from anew.app.backtest_trigger import OWN, trigger_stages
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import Settings
from anew.domain.errors import SettingsError
from anew.domain.facts import CandidateTrained, TrainingPlanned, VersionPromoted
from anew.loop.backtest_report import recommended
from anew.loop.engine import Stages
from anew.loop.held_loss import loss_scale
from anew.train import Train
from anew.train.span import Span
from anew.trigger import Economy, Trigger
from anew.trigger.cost import Cost
from anew.trigger.every import Every

__all__ = ["RolledOut", "through_rollout"]

PRICE = 0.01
"""Price of a retrain, as a share of the gain, that `economic` is told: the one whose loss a backtest's table shows."""
_EVERY = re.compile(r"every_(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledOut:
    """A policy with gates and rollout, and without; `held` counts candidates that gates or rollout let come to nothing.

    Losses are means over the same rows.
    """

    policy: str
    loss: float
    loss_without: float
    fits: int
    fits_without: int
    promotions: int
    held: int

    @property
    def plain(self) -> Mapping[str, float | int | str]:
        """As ``anew.backtest/1`` has it under ``with_rollout``."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return found | {"gap": self.loss - self.loss_without}


def through_rollout(settings: Settings, options: BacktestOptions, found: Backtest) -> RolledOut:
    """Replay the best policy that the loop can run: on the span of a backtest, with the project's gates and rollout.

    Raises
    ------
    SettingsError
        No policy of the backtest is one that the loop can run.
    """
    known = {name: runs for name, runs in found.runs.items() if _runs(name)}
    if not known:
        raise SettingsError(
            f"--with-rollout: the loop cannot run {', '.join(found.runs)}; let --policies have economic, never, "
            f"every_…, {OWN} or a trigger:…"
        )
    best = recommended(found.hindsight, known)
    name = next(iter(known)) if best is None else best.policy
    price = PRICE * max(found.hindsight.gain, 0.0) * _of_loop(settings, options)
    windows = ReplayOptions(data=options.data, label_delay=str(options.label_delay), windows=options.windows)

    def deciders(made: Stages, window: timedelta) -> Stages:
        train, whole = made["train"], made["trigger"]
        assert isinstance(train, Train), "the stage of this name"  # noqa: S101  for the type checker
        assert isinstance(whole, Trigger), "the stage of this name"  # noqa: S101  likewise
        span = Span(length=(USUAL_SPAN + options.label_delay) * window)
        return {**made, "train": replace(train, span=span), "trigger": _trigger(name, whole, window, price)}

    report = replay(settings, windows, deciders=deciders)
    run = found.runs[name][PRICE]
    began = next(i for i, fact in enumerate(report.facts) if isinstance(fact, VersionPromoted))
    after = report.facts[began + 1 :]
    revived = {fact.version for fact in after if isinstance(fact, TrainingPlanned) and fact.revive}
    tried = [fact.version for fact in after if isinstance(fact, CandidateTrained)]
    promotions = sum(isinstance(fact, VersionPromoted) for fact in after)
    return RolledOut(
        policy=name,
        loss=report.data["loss"],
        loss_without=float(run.by_window.sum()) / found.hindsight.rows,
        fits=len(set(tried) - revived),
        fits_without=len(run.fits),
        promotions=promotions,
        held=len(tried) - promotions,
    )


def _runs(name: str) -> bool:
    return name in ("economic", "never", OWN) or name.startswith("trigger:") or _EVERY.fullmatch(name) is not None


def _of_loop(settings: Settings, options: BacktestOptions) -> float:
    """Return what one unit of a backtest's loss is in the loop, which takes errors over the range of the labels."""
    if settings.task.classifies:
        return 1.0
    frame = labelled_rows(read_table(options.data), settings.columns, options.data.name)
    bench = Bench(settings=settings, frame=frame, bounds=equal_windows(frame.height, options.windows))
    first = frame.get_column("_label").head(bench.bounds[first_windows(options.windows)])
    return bench.spread / (loss_scale(first, settings.columns) or 1.0)


def _trigger(name: str, whole: Trigger, window: timedelta, price: float) -> Trigger:
    every = _EVERY.fullmatch(name)
    if name == "economic":
        return Trigger(economy=Economy(cost=Cost(error=1.0, retrain=price)), arms=whole.arms)
    if name == "never" or every:
        return Trigger(schedules=(Every(length=int(every[1]) * window),) if every else (), arms=whole.arms)
    return trigger_stages(whole)[name]
