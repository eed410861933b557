"""Settings into a wired loop: which detectors, gates and judges the stages are made of."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from anew.app.component import find_component, make_component
from anew.app.duration import parse_count, parse_duration, parse_rate
from anew.app.settings import Settings
from anew.domain.column import Task
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
from anew.stats.outcome import known_for
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


def stages(settings: Settings, *, label_delay: timedelta | None = None) -> Stages:
    """Return the deciders of a project, in the order in which they hear a fact.

    Parameters
    ----------
    label_delay
        How old labels have to be, when it is not what the settings say. The span of training rows reaches back from
        the newest mature label, so that a short one is not spent on rows that have none yet.

    Raises
    ------
    SettingsError
        A component is unknown or its options cannot be; each with its place in the file.
    """
    policy = settings.policy
    problems: list[str] = []
    watched = _collect(problems, "", partial(_watched, settings))
    chosen = _collect(problems, "", partial(gates, settings))
    rollout = _collect(problems, settings.document.where(("rollout", "canary")), partial(_rollout, settings))
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
            "monitor": Monitor(watched[0]),
            "trigger": Trigger(
                persistence=watched[1],
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
        expire=parse_duration(policy.expire),
    )


def detectors(settings: Settings) -> Mapping[str, Detector]:
    """Return the project's detectors by key."""
    return _watched(settings)[0]


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
        gate = _collect(problems, where, partial(_make, "validate", names[0], given))
        if gate is None:
            continue
        own = getattr(gate, "objectives", ()) if "objectives" in (entry[names[0]] or ()) else ()
        problems.extend(f"{where}: {problem}" for each in own for problem in _metric_problem(each, settings.task))
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
    made = (
        _collect(
            problems,
            settings.document.where(("slos", i)),
            partial(_objective, slo),
        )
        for i, slo in enumerate(settings.policy.slos)
    )
    return tuple(each for each in made if each is not None)


def _objective(slo: Mapping[str, Any]) -> Objective:
    checked = _slo(slo)
    return Objective(metric=checked.metric, at_most=checked.at_most, at_least=checked.at_least)


def _watched(settings: Settings) -> tuple[Mapping[str, Detector], Mapping[str, int]]:
    """Return the detectors by key, and the windows in a row that each must find something in."""
    found: dict[str, Detector] = {}
    persistence: dict[str, int] = {}
    problems: list[str] = []
    for where, entry, make in _declared(settings, problems):
        detector = _collect(problems, where, make)
        count = _collect(problems, where, partial(parse_count, entry.get("for", 1), "window"))
        if detector is None or count is None:
            continue
        wrong = _detector_problems(detector, settings)
        if detector.key in found:
            wrong.append(f"the detector {detector.key} stands twice")
        problems.extend(f"{where}: {problem}" for problem in wrong)
        found[detector.key] = detector
        persistence[detector.key] = count
    if problems:
        raise SettingsError(*problems)
    return MappingProxyType(found), MappingProxyType(persistence)


def _declared(
    settings: Settings, problems: list[str]
) -> Iterator[tuple[str, Mapping[str, Any], Callable[[], Detector]]]:
    """Yield place, entry and maker of each detector that the file declares."""
    for i, slo in enumerate(settings.policy.slos):
        yield settings.document.where(("slos", i)), slo, partial(_slo, slo)
    for i, entry in enumerate(settings.policy.triggers):
        where = settings.document.where(("triggers", i))
        names = [name for name in entry if name != "for"]
        if len(names) == 1:
            yield where, entry, partial(_make, "monitor", names[0], entry[names[0]])
        else:
            problems.append(f"{where}: an entry of triggers is one detector, {{NAME: OPTIONS}}, found {names}")


def _detector_problems(detector: Detector, settings: Settings) -> list[str]:
    """Say what of a detector this project could never measure: a rule that cannot fire would be silently off."""
    problems = _metric_problem(detector, settings.task)
    column = getattr(detector, "column", "")
    if column and column not in settings.columns.names:
        problems.append(f"{column!r} is no feature (known: {', '.join(settings.columns.names)})")
    if detector.over is not None and detector.over < settings.window:
        problems.append(f"over {detector.over} is less than the window, {settings.window}; leave it out for one window")
    return problems


def _metric_problem(measuring: object, task: Task) -> list[str]:
    metric = getattr(measuring, "metric", None)
    if metric is None or metric in known_for(task):
        return []
    return [f"metric {metric!r} makes no sense for {task} (known: {', '.join(known_for(task))})"]


def _slo(entry: Mapping[str, Any]) -> SLO:
    """Make an objective's detector; in the file its period is called `over`."""
    if "period" in entry:
        raise SettingsError("unknown option 'period'; did you mean over?")
    given = {"period" if name == "over" else name: value for name, value in entry.items() if name != "for"}
    made: SLO = make_component(SLO, given)
    return made


def _make(stage: str, name: str, given: object) -> Any:
    return make_component(find_component(stage, name), {} if given is None else given)


def _collect(problems: list[str], where: str, make: Callable[[], T]) -> T | None:
    """Make something, or note what is wrong with it: at `where`, or at the places that the problems name themselves."""
    prefix = f"{where}: " if where else ""
    try:
        return make()
    except SettingsError as exc:
        problems.extend(prefix + problem for problem in exc.problems)
    except AnewError as exc:
        problems.append(f"{prefix}{exc}")
    return None
