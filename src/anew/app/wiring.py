"""Settings into a wired loop: which detectors, gates and judges the stages are made of."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from anew.app.component import find_component, make_component
from anew.app.duration import parse_count, parse_duration, parse_rate
from anew.app.settings import Settings
from anew.domain.errors import AnewError, SettingsError
from anew.feedback import Feedback
from anew.governance import Governance
from anew.loop.engine import Stages
from anew.monitor import Detector, Monitor
from anew.monitor.slo import SLO
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

__all__ = ["detectors", "gates", "stages"]

T = TypeVar("T")
_UNLIMITED = Budget(retrains=1_000_000_000, period=timedelta(days=36_500))


def stages(settings: Settings) -> Stages:
    """Return the deciders of a project, in the order in which they hear a fact.

    Raises
    ------
    SettingsError
        A component is unknown or its options cannot be; each with its place in the file.
    """
    policy = settings.policy
    watched, persistence = _watched(settings)
    budget = policy.policy.budget.get("retrains")
    retrains, period = parse_rate(budget) if budget else (_UNLIMITED.retrains, _UNLIMITED.period)
    span = None if policy.data.span == "all" else parse_duration(policy.data.span)
    judge, shadow = policy.rollout.judge, policy.rollout.shadow
    return MappingProxyType(
        {
            "registry": Registry(),
            "feedback": Feedback(),
            "monitor": Monitor(watched),
            "trigger": Trigger(
                persistence=persistence,
                cooldown=Cooldown(length=parse_duration(policy.policy.cooldown)),
                budget=Budget(retrains=retrains, period=period),
            ),
            "governance": Governance(),
            "train": Train(span=Span(length=span), holdout_share=policy.data.holdout),
            "validate": Validate(gates=gates(settings)),
            "rollout": Rollout(
                shadow=Shadow(margin=shadow.margin, alpha=shadow.alpha, at_least_rows=shadow.at_least_rows),
                steps=policy.rollout.canary,
                canary=Canary(harm=judge.harm, alpha=judge.alpha, at_least_rows=judge.at_least_rows),
                expire=parse_duration(policy.rollout.expire),
            ),
        }
    )


def detectors(settings: Settings) -> Mapping[str, Detector]:
    """Return the project's detectors by key."""
    return _watched(settings)[0]


def gates(settings: Settings) -> Gates:
    """Return the project's gates by key, each with whether it is required."""
    found: dict[str, tuple[Gate, bool]] = {}
    problems: list[str] = []
    for i, entry in enumerate(settings.policy.gates):
        where = settings.document.where(("validate", i))
        options = {name: value for name, value in entry.items() if name != "required"}
        if len(options) != 1:
            problems.append(f"{where}: an entry of validate names one gate, found {sorted(options)}")
            continue
        (name, given), required = next(iter(options.items())), entry.get("required", True)
        chosen = dict(given or {})
        if name == "slos" and "objectives" not in chosen:
            chosen["objectives"] = _objectives(settings)
        gate = _collect(problems, where, partial(_make, "validate", name, chosen))
        if gate is not None:
            found[gate.key] = (gate, bool(required))
    if problems:
        raise SettingsError(*problems)
    if not any(required for _, required in found.values()):
        where = settings.document.where(("validate",))
        raise SettingsError(f"{where}: validate: at least one gate has to be required, or nothing could ever be proved")
    return MappingProxyType(found)


def _objectives(settings: Settings) -> tuple[Objective, ...]:
    return tuple(
        Objective(metric=str(slo.get("metric")), at_most=slo.get("at_most"), at_least=slo.get("at_least"))
        for slo in settings.policy.slos
    )


def _watched(settings: Settings) -> tuple[Mapping[str, Detector], Mapping[str, int]]:
    found: dict[str, Detector] = {}
    persistence: dict[str, int] = {}
    problems: list[str] = []
    for i, slo in enumerate(settings.policy.slos):
        where = settings.document.where(("slos", i))
        detector = _collect(problems, where, partial(_slo, slo))
        if detector is not None:
            found[detector.key] = detector
            persistence[detector.key] = parse_count(slo.get("for", 1), "window")
    for i, entry in enumerate(settings.policy.triggers):
        where = settings.document.where(("triggers", i))
        names = [name for name in entry if name != "for"]
        if len(names) != 1:
            problems.append(f"{where}: an entry of triggers names one detector, found {names}")
            continue
        name, given = names[0], entry[names[0]] or {}
        detector = _collect(problems, where, partial(_make, "monitor", name, given))
        count = _collect(problems, where, partial(parse_count, entry.get("for", 1), "window"))
        column = getattr(detector, "column", "")
        if column and column not in settings.columns.names:
            problems.append(f"{where}: {column!r} is no feature (known: {', '.join(settings.columns.names)})")
        elif detector is not None and count is not None:
            found[detector.key] = detector
            persistence[detector.key] = count
    if problems:
        raise SettingsError(*problems)
    return MappingProxyType(found), MappingProxyType(persistence)


def _slo(entry: Mapping[str, Any]) -> SLO:
    given = {name: value for name, value in entry.items() if name not in ("for", "over")}
    if "over" in entry:
        given["period"] = entry["over"]
    parse_count(entry.get("for", 1), "window")
    made: SLO = make_component(SLO, given)
    return made


def _make(stage: str, name: str, given: Mapping[str, Any]) -> Any:
    return make_component(find_component(stage, name), given)


def _collect(problems: list[str], where: str, make: Callable[[], T]) -> T | None:
    try:
        return make()
    except AnewError as exc:
        problems.append(f"{where}: {exc}")
        return None
