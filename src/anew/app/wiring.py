"""Settings into a wired loop: which detectors, gates and judges the stages are made of."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

from anew.app.component import collect, find_component, make_component
from anew.app.duration import parse_duration, parse_rate
from anew.app.settings import Settings
from anew.app.watch import make_slo, metric_problem, watched_by
from anew.domain.errors import SettingsError
from anew.feedback import Feedback
from anew.governance import Governance
from anew.loop.engine import Stages
from anew.monitor import Monitor
from anew.registry import Registry
from anew.rollout import Rollout
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow
from anew.train import Train
from anew.train.span import Span
from anew.trigger import Trigger
from anew.trigger.budget import Budget
from anew.trigger.cooldown import Cooldown
from anew.validate import Gate, Gates, Validate
from anew.validate.slos import Objective

__all__ = ["gates", "stages"]

_UNLIMITED = Budget(retrains=1_000_000_000, period=timedelta(days=36_500))


def stages(settings: Settings, *, label_delay: timedelta | None = None, window: timedelta | None = None) -> Stages:
    """Return the deciders of a project, in the order in which they hear a fact.

    Parameters
    ----------
    label_delay
        How old labels have to be, when it is not what the settings say. The span of training rows reaches back from
        the newest mature label, so that a short one is not spent on rows that have none yet.
    window
        Length of a window, when it is not what the settings say.

    Raises
    ------
    SettingsError
        A component is unknown or its options cannot be; each with its place in the file.
    """
    policy = settings.policy
    problems: list[str] = []
    watched = collect(problems, "", partial(watched_by, settings, window=window))
    chosen = collect(problems, "", partial(gates, settings))
    rollout = collect(problems, settings.document.where(("rollout", "canary")), partial(_rollout, settings))
    if watched is None or chosen is None or rollout is None:
        raise SettingsError(*dict.fromkeys(problems))
    budget = policy.policy.budget.get("retrains")
    retrains, period = parse_rate(budget) if budget else (_UNLIMITED.retrains, _UNLIMITED.period)
    span = None if policy.data.span == "all" else parse_duration(policy.data.span)
    if span is not None:
        span += settings.label_delay if label_delay is None else label_delay
    return MappingProxyType(
        {
            "registry": Registry(),
            "feedback": Feedback(),
            "monitor": Monitor(watched.detectors),
            "trigger": Trigger(
                conditions=tuple(watched.conditions),
                schedules=tuple(watched.schedules),
                changes=watched.changes,
                new_data=watched.new_data,
                cooldown=Cooldown(length=parse_duration(policy.policy.cooldown)),
                budget=Budget(retrains=retrains, period=period),
            ),
            "governance": Governance(),
            "train": Train(span=Span(length=span), holdout_share=policy.data.holdout),
            "validate": Validate(gates=chosen),
            "rollout": rollout,
        }
    )


def _rollout(settings: Settings) -> Rollout:
    policy = settings.policy.rollout
    shadow, judge = policy.shadow, policy.judge
    return Rollout(
        shadow=Shadow(margin=shadow.margin, alpha=shadow.alpha, at_least_rows=shadow.at_least_rows),
        steps=policy.canary,
        canary=Canary(harm=judge.harm, alpha=judge.alpha, at_least_rows=judge.at_least_rows),
        blue_green=policy.strategy == "blue_green",
        expire=parse_duration(policy.expire),
    )


def gates(settings: Settings) -> Gates:
    """Return the project's gates by key, each with whether it is required.

    Raises
    ------
    SettingsError
        As `stages` does.
    """
    found: dict[str, tuple[Gate, bool]] = {}
    problems: list[str] = []
    objectives = _objectives(settings, problems)
    for i, entry in enumerate(settings.policy.gates):
        where, required = settings.document.where(("validate", i)), entry.get("required", True)
        names = [name for name in entry if name != "required"]
        if len(names) != 1 or not isinstance(required, bool):
            problems.append(
                f"{where}: an entry of validate is one gate, {{NAME: OPTIONS}}, and `required: false` or not"
            )
            continue
        given = entry[names[0]]
        if names[0] == "slos" and isinstance(given or {}, Mapping):
            given = {"objectives": objectives} | dict(given or {})
        gate = collect(problems, where, partial(_make, "validate", names[0], given))
        if gate is None:
            continue
        own = getattr(gate, "objectives", ()) if "objectives" in (entry[names[0]] or ()) else ()
        problems.extend(f"{where}: {problem}" for each in own for problem in metric_problem(each, settings.task))
        if gate.key in found:
            problems.append(f"{where}: the gate {gate.key} stands twice")
        found[gate.key] = (gate, required)
    if problems:
        raise SettingsError(*dict.fromkeys(problems))
    if not any(required for _, required in found.values()):
        where = settings.document.where(("validate",))
        raise SettingsError(f"{where}: validate: at least one gate has to be required, or nothing could ever be proved")
    return MappingProxyType(found)


def _objectives(settings: Settings, problems: list[str]) -> tuple[Objective, ...]:
    """Return what the gate asks of a candidate: the business's own metrics can only be seen of what was served."""
    made = (
        collect(
            problems,
            settings.document.where(("slos", i)),
            partial(make_slo, slo, settings.policy.business),
        )
        for i, slo in enumerate(settings.policy.slos)
    )
    return tuple(
        Objective(metric=slo.metric, at_most=slo.at_most, at_least=slo.at_least)
        for slo in made
        if slo is not None and not slo.definition
    )


def _make(stage: str, name: str, given: object) -> Any:
    return make_component(find_component(stage, name), {} if given is None else given)
