"""What a project watches, and what may ask for a retrain: `slos` and `triggers` of the settings as values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from anew.adapters.cron_schedule import CronSchedule
from anew.app.component import collect, find_component, hint, make_component
from anew.app.duration import parse_alarms, parse_count, parse_duration
from anew.app.objective import BESIDE, make_slo, metric_problem, performance, with_period
from anew.app.row_kind import rule_problems
from anew.app.secret import is_reference
from anew.app.settings import Settings
from anew.domain.duration import write_duration
from anew.domain.errors import SettingsError
from anew.domain.severity import Severity
from anew.feedback.outcome import THUMB
from anew.monitor import Detector
from anew.monitor.rule import Rule
from anew.trigger import Changes, Condition, NewData, Schedule
from anew.trigger.every import Every

__all__ = ["Watch", "watched_by"]

_MOST_ALPHA = 0.2
"""Chance of a false alert in a window above which an alert says nothing."""
_BYPASS = ("cooldown",)
_SEVERITIES = {each.name.lower(): each for each in Severity}
_SPECIAL = {
    "all": (*BESIDE, "all"),
    "any": (*BESIDE, "any"),
    "at_least": (*BESIDE, "at_least", "of"),
    "changed": ("changed",),
    "cron": ("bypass", "cron", "zone"),
    "every": ("bypass", "every"),
    "new_data": ("new_data",),
    "rule": (*BESIDE, "data", "rule"),
    "webhook": ("webhook",),
}
"""Entries of `triggers` that are no `{DETECTOR: OPTIONS}`, each with all the keys that it may have."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """What is watched, and what of it may ask.

    Attributes
    ----------
    detectors
        By key, in the order of the file.
    at_once
        Keys of those that do not wait for a window's end.
    webhook
        Where the secret is of those programs that may ask; empty: none may.
    """

    detectors: dict[str, Detector] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    new_data: NewData | None = None
    webhook: str = ""

    @property
    def at_once(self) -> Mapping[str, Detector]:
        """Those detectors that do not wait for a window's end, by key."""
        held = {key for each in self.conditions if each.windows > 1 for key in each.detectors}
        return {
            key: each for key, each in self.detectors.items() if getattr(each, "at_once", False) and key not in held
        }

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that corrected history has to keep."""
        return tuple(each for each in self.detectors.values() if isinstance(each, Rule) and each.data == "corrected")

    @property
    def feedback(self) -> bool:
        """Does anything read what was fed back, besides labels?"""
        return any(getattr(each, "needs_feedback", False) for each in self.detectors.values())

    @property
    def needs_sample(self) -> bool:
        """Does a detector read the yardstick's sample?"""
        return any(getattr(each, "needs_sample", False) for each in self.detectors.values())

    @property
    def needs_traits(self) -> bool:
        """Does a detector read the yardstick's traits?"""
        return any(getattr(each, "needs_traits", False) for each in self.detectors.values())


def watched_by(settings: Settings, *, window: timedelta | None = None) -> Watch:
    """Read what the project watches.

    Parameters
    ----------
    window
        Length of a window, when it is not what the settings say; the budget of false alarms is shared out over windows.

    Raises
    ------
    SettingsError
        Everything in `slos` and `triggers` that cannot be, each with its place in the file.
    """
    found, problems = Watch(), list[str]()
    for i, slo in enumerate(settings.policy.slos):
        where = settings.document.where(("slos", i))
        made = collect(problems, where, partial(_detector, settings, partial(make_slo, slo, settings, BESIDE)))
        condition = collect(problems, where, partial(_condition, slo, [] if made is None else [made.key]))
        _keep(found, problems, where, made, condition)
    for i, entry in enumerate(settings.policy.triggers):
        where = settings.document.where(("triggers", i))
        collect(problems, where, partial(_read, found, settings, entry))
    place = settings.document.where(("monitor", "metrics"))
    measured = collect(problems, place, partial(_performance, settings))
    if measured is not None:
        found.detectors[measured.key] = measured
    place = settings.document.where(("monitor", "false_alarms"))
    collect(problems, place, partial(_share_budget, found, settings, window or settings.window))
    if problems:
        raise SettingsError(*problems)
    return found


def _share_budget(found: Watch, settings: Settings, window: timedelta | None) -> None:
    """Give each calibrated detector its share of the false alarms that the project allows."""
    text = settings.policy.monitor.false_alarms
    alarms, period = parse_alarms(text)
    sharing = {
        key: each
        for key, each in found.detectors.items()
        if getattr(each, "calibrated", False) and getattr(each, "alpha", None) is None
    }
    if not sharing:
        return
    if isinstance(period, timedelta) and window is None:
        raise SettingsError(
            f"false_alarms: {text!r}: how long a window of {settings.policy.monitor.window} lasts is not known before; "
            "write N per M windows"
        )
    among_windows = 1 / period if isinstance(period, int) else (window or period) / period
    alpha = alarms * among_windows / len(sharing)
    if alpha > _MOST_ALPHA:
        length = settings.policy.monitor.window if window is None else write_duration(window)
        raise SettingsError(
            f"false_alarms: {text!r} over windows of {length} lets {alpha:.0%} of windows alarm "
            f"without cause; at most {_MOST_ALPHA:.0%} can be, so allow fewer, or make windows shorter"
        )
    unable = [
        f"{key} ({least:g})" for key, each in sharing.items() if alpha < (least := getattr(each, "least_alpha", 0.0))
    ]
    if unable:
        raise SettingsError(
            f"false_alarms: {text!r} leaves each of {len(sharing)} detectors a chance of {alpha:.2g} in a window, and "
            f"these cannot promise as little: {', '.join(unable)}; allow more, take longer windows, watch less that is "
            "calibrated, or give them a limit of their own"
        )
    among = f", shared by {len(sharing)} detectors" if len(sharing) > 1 else ""
    for key, each in sharing.items():
        found.detectors[key] = replace(each, alpha=alpha, declared=f"{text} declared{among}")  # type: ignore[type-var]  # a component is a dataclass, which its Protocol cannot say


def _keep(found: Watch, problems: list[str], where: str, made: Detector | None, condition: Condition | None) -> None:
    if made is None or condition is None:
        return
    if made.key in found.detectors:
        problems.append(f"{where}: the detector {made.key} stands twice")
    found.detectors[made.key] = made
    found.conditions.append(condition)


def _read(found: Watch, settings: Settings, entry: Mapping[str, Any]) -> None:
    """Add what one entry of `triggers` says."""
    special = next((name for name in _SPECIAL if name in entry), None)
    if special is None:
        names = [name for name in entry if name not in BESIDE]
        if len(names) != 1:
            raise SettingsError(
                f"an entry of triggers is one detector, {{NAME: OPTIONS}}, or one of {', '.join(_SPECIAL)}; "
                f"found {names}"
            )
        made = _detector(settings, partial(_component, settings, names[0], entry[names[0]]))
        _add(found, _condition(entry, [made.key]), made)
        return
    wrong = [
        f"unknown option {name!r}{hint(name, _SPECIAL[special])}" for name in entry if name not in _SPECIAL[special]
    ]
    if wrong:
        raise SettingsError(*wrong)
    match special:
        case "every" | "cron":
            schedule = _schedule(special, entry)
            if schedule.name in {each.name for each in found.schedules}:
                raise SettingsError(f"the schedule {schedule.name} stands twice")
            found.schedules.append(schedule)
        case "changed":
            found.changes = _changes(entry["changed"])
        case "new_data":
            found.new_data = NewData(rows=parse_count(entry["new_data"], "row"))
        case "webhook":
            if found.webhook:
                raise SettingsError("a webhook stands twice")
            found.webhook = _webhook(entry["webhook"])
        case "rule":
            made = _detector(settings, partial(_rule, entry))
            _add(found, _condition(entry, [made.key], corrected=entry.get("data") == "corrected"), made)
        case _:
            _combine(found, settings, special, entry)


def _add(found: Watch, condition: Condition, *made: Detector) -> None:
    """Add a condition and its detectors; a detector may stand in several combinations, but only once alone."""
    twice = [each.key for each in made if each.key in found.detectors]
    if twice and len(condition.detectors) == 1:
        raise SettingsError(f"the detector {twice[0]} stands twice")
    if condition.name in {each.name for each in found.conditions}:
        raise SettingsError(f"the condition {condition.name} stands twice")
    found.detectors.update({each.key: each for each in made})
    found.conditions.append(condition)


def _combine(found: Watch, settings: Settings, special: str, entry: Mapping[str, Any]) -> None:
    given = entry.get("of") if special == "at_least" else entry[special]
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) < 2:
        name = "of" if special == "at_least" else special
        raise SettingsError(f"{name}: found {given!r}; write a list of two or more detectors, [{{NAME: OPTIONS}}, …]")
    made: list[Detector] = []
    problems: list[str] = []
    for i, each in enumerate(given):
        if not isinstance(each, Mapping) or len(each) != 1:
            problems.append(f"number {i + 1}: found {each!r}; write {{NAME: OPTIONS}}")
            continue
        ((name, options),) = each.items()
        if name in _SPECIAL and name != "rule":
            problems.append(f"number {i + 1}: {name!r} is no detector of windows; let it stand by itself")
            continue
        make = partial(_rule, each) if name == "rule" else partial(_component, settings, name, options)
        detector = collect(problems, f"number {i + 1}", partial(_detector, settings, make))
        made += [] if detector is None else [detector]
    if problems:
        raise SettingsError(*problems)
    needs = {"any": 1, "all": len(made)}.get(special) or entry["at_least"]
    if not isinstance(needs, int) or not 1 <= needs <= len(made):
        raise SettingsError(f"at_least: found {needs!r}; write a number from 1 to {len(made)}")
    keys = [each.key for each in made]
    if len(set(keys)) < len(keys):
        raise SettingsError("a detector stands twice in it")
    corrected = any(isinstance(each, Rule) and each.data == "corrected" for each in made)
    _add(found, _condition(entry, keys, needs=needs, corrected=corrected), *made)


def _condition(entry: Mapping[str, Any], keys: Sequence[str], *, needs: int = 1, corrected: bool = False) -> Condition:
    severity = entry.get("severity", "low")
    if severity not in _SEVERITIES:
        raise SettingsError(f"severity: found {severity!r}; known are {', '.join(_SEVERITIES)}")
    bypass = entry.get("bypass")
    if bypass not in (None, *_BYPASS):
        raise SettingsError(f"bypass: found {bypass!r}; known are {', '.join(_BYPASS)}")
    rearm = entry.get("rearm", 0)
    return Condition(
        detectors=tuple(keys) or ("",),
        needs=needs,
        windows=parse_count(entry.get("for", 1), "window"),
        severity=_SEVERITIES[severity],
        rearm=0 if rearm == 0 else parse_count(rearm, "window"),
        past_cooldown=bypass == "cooldown",
        corrected=corrected,
    )


def _detector(settings: Settings, make: Callable[[], Detector]) -> Detector:
    """Make a detector and refuse one that this project could never measure: it would be silently off."""
    made = make()
    problems = metric_problem(made, settings.task)
    known = settings.columns.names
    asked = (getattr(made, "column", ""), *getattr(made, "columns", ()), *getattr(made, "by", ()))
    problems += [
        f"{column!r} is no feature (known: {', '.join(known)})"
        for column in asked
        if column and column not in (*known, "prediction")
    ]
    if isinstance(made, Rule) and not problems:
        problems += rule_problems([made.keep], settings.columns)
    column = getattr(made, "column", "")
    if column in settings.columns.categories and not getattr(made, "for_levels", True):
        problems.append(f"it is a distance of numbers, and {column!r} is a category; use psi, js or chi_squared there")
    outcome = getattr(made, "outcome", "")
    if outcome and outcome not in (*settings.events, THUMB):
        problems.append(f"{outcome!r} is no event of the project{hint(outcome, settings.events)}")
    if made.over is not None and settings.window is not None and made.over < settings.window:
        problems.append(f"over {made.over} is less than the window, {settings.window}; leave it out for one window")
    if problems:
        raise SettingsError(*problems)
    return made


def _performance(settings: Settings) -> Detector | None:
    made = performance(settings)
    return None if made is None else _detector(settings, lambda: made)


def _component(settings: Settings, name: str, given: object) -> Detector:
    if name == "slo":
        if not isinstance(given, Mapping):
            raise SettingsError(f"found {given!r}; write its options as {{NAME: VALUE}}")
        return make_slo(given, settings)
    kind = find_component("monitor", name)
    made: Detector = make_component(kind, with_period(kind, {} if given is None else given))
    return made


def _rule(entry: Mapping[str, Any]) -> Rule:
    given = entry["rule"]
    options = dict(given) if isinstance(given, Mapping) else {"keep": given}
    if "data" in entry:
        options["data"] = entry["data"]
    made: Rule = make_component(Rule, options)
    return made


def _schedule(special: str, entry: Mapping[str, Any]) -> Schedule:
    past_cooldown = _condition({name: entry[name] for name in entry if name == "bypass"}, [""]).past_cooldown
    if special == "every":
        return Every(length=parse_duration(entry["every"]), past_cooldown=past_cooldown)
    expression, zone = entry["cron"], entry.get("zone", "UTC")
    if not isinstance(expression, str) or not isinstance(zone, str):
        raise SettingsError(f"cron {expression!r}, zone {zone!r}: write both as text")
    return CronSchedule(expression=expression, zone=zone, past_cooldown=past_cooldown)


def _webhook(given: object) -> str:
    secret = given.get("secret") if isinstance(given, Mapping) and set(given) == {"secret"} else None
    if not isinstance(secret, str) or not is_reference(secret):
        # What stands there is not repeated: it may be the secret.
        raise SettingsError("webhook: write {secret: env:NAME} or {secret: file:PATH}, which say where the secret is")
    return secret


def _changes(given: object) -> Changes:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not names or set(names) - {"code", "policy"}:
        raise SettingsError(f"changed: found {given!r}; write code, policy or [code, policy]")
    return Changes(code="code" in names, policy="policy" in names)
