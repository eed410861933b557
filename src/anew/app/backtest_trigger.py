"""The project's own policy, and each of its triggers by itself, as policies of a backtest."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

from anew.adapters.memory import InMemoryEventLog, InMemoryLease, ManualClock
from anew.app.backtest_fit import Bench, train_model
from anew.app.watch import Watch, watched_by
from anew.app.wiring import stages
from anew.loop.backtest import Model, Policy
from anew.loop.backtest_trigger import Told, TriggerPolicy
from anew.loop.engine import Engine
from anew.loop.replay_stream import ReplayStream, Stopwatch, TrainedVersion
from anew.trigger import Changes, Trigger

__all__ = ["OWN", "trigger_policies", "trigger_stages"]

OWN = "own"
"""Name of the project's own policy in a backtest."""


def trigger_policies(bench: Bench, span: int, delay: int) -> dict[str, Callable[[], Policy]]:
    """Return policies by name: ``own``, and ``trigger:NAME`` for each condition and schedule of the project.

    Parameters
    ----------
    span, delay
        Of every fit, and of labels; in windows.
    """
    settings = bench.settings
    frame = bench.frame
    window = (frame.get_column("_at")[-1] - frame.get_column("_at")[0]) / (len(bench.bounds) - 1)
    deciders = stages(settings, label_delay=delay * window, window=window)
    watched = watched_by(settings, window=window)
    whole = deciders["trigger"]
    assert isinstance(whole, Trigger), "the stage of this name"  # noqa: S101  for the type checker
    trained = cache(partial(_trained, bench, watched))

    def policy(trigger: Trigger) -> Policy:
        clock = ManualClock()
        lease = InMemoryLease(clock)
        grant = lease.acquire("backtest", 1e9)
        assert grant is not None, "a fresh lease is free"  # noqa: S101  an invariant of ours, not of the input
        log = InMemoryEventLog(clock=clock, lease=lease)
        engine = Engine({"monitor": deciders["monitor"], "trigger": trigger}, log, grant)
        told = Told(
            model=settings.model,
            detectors=watched.detectors,
            at_once=watched.at_once,
            code=settings.code,
            settings=settings.digest,
        )
        return TriggerPolicy(told, engine, ReplayStream(frame, settings.columns, Stopwatch()), trained, span)

    return {name: partial(policy, trigger) for name, trigger in trigger_stages(whole).items()}


def trigger_stages(whole: Trigger) -> dict[str, Trigger]:
    """Return the project's trigger as ``own``, and ``trigger:NAME`` with each of its conditions and schedules alone."""
    bare = replace(whole, conditions=(), schedules=(), changes=Changes(), new_data=None, economy=None)
    found = {OWN: whole} | {f"trigger:{each.name}": replace(bare, conditions=(each,)) for each in whole.conditions}
    found |= {f"trigger:{each.name}": replace(bare, schedules=(each,)) for each in whole.schedules}
    if whole.new_data is not None:
        found[f"trigger:{whole.new_data.name}"] = replace(bare, new_data=whole.new_data)
    return found


def _trained(bench: Bench, watched: Watch, model: Model) -> TrainedVersion:
    low = bench.bounds[max(model.end - model.span, 0)] if model.span else 0
    return train_model(bench, low, bench.bounds[model.end], sample=watched.needs_sample, traits=watched.needs_traits)
