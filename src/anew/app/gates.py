"""The project's gates, and what each verdict means: it counts, only advises, or asks a person."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from anew.app.component import collect, find_component, hint, make_component
from anew.app.objective import BESIDE, code_metric, make_slo, metric_problem
from anew.app.row_kind import rule_problems
from anew.app.settings import Settings
from anew.domain.column import Task
from anew.domain.errors import SettingsError
from anew.monitor.slo import SLO
from anew.validate import Gate, Gates
from anew.validate.anchor import Anchor
from anew.validate.beats_champion import LOSS, BeatsChampion
from anew.validate.calibration import Calibration
from anew.validate.fairness import Fairness
from anew.validate.forgetting import Forgetting
from anew.validate.leakage import Leakage
from anew.validate.model_card import ModelCard
from anew.validate.robustness import Robustness
from anew.validate.rules import Rules
from anew.validate.slos import Objective, SLOs
from anew.validate.suites import Suites
from anew.validate.training_rows import TrainingRows

__all__ = ["MODES", "ChosenGates", "chosen_gates"]

_ON_ALL = (BeatsChampion, Calibration, Leakage, Robustness, Rules, SLOs, TrainingRows)

MODES = ("required", "advisory", "ask")
"""What becomes of a verdict that is no PASS: the candidate is refused, it goes on, or it waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenGates:
    """Gates by key, each with whether it counts, and the keys of those that ask a person."""

    gates: Gates
    asking: frozenset[str]

    @property
    def least_rows(self) -> int:
        """Rows that the gates which count and judge all of them need: with fewer, a candidate is fitted for nothing."""
        asked = [gate.at_least_rows for gate, counts in self.gates.values() if counts and isinstance(gate, _ON_ALL)]
        return max(asked, default=0)

    @property
    def anchor(self) -> str | None:
        """The version that a gate pins, empty for the first champion; None where no gate pins one."""
        return next((gate.version for gate, _ in self.gates.values() if isinstance(gate, Anchor)), None)

    @property
    def sections(self) -> tuple[str, ...] | None:
        """What people have to have written in the model card; None where no gate asks for a card."""
        return next((gate.sections for gate, _ in self.gates.values() if isinstance(gate, ModelCard)), None)

    def unpackaged(self) -> "ChosenGates":
        """Return those that need no stored artifact and no clock: all that a replay can ask."""
        gates = {key: each for key, each in self.gates.items() if not getattr(each[0], "packaged", False)}
        return ChosenGates(gates=MappingProxyType(gates), asking=self.asking & gates.keys())


def chosen_gates(settings: Settings) -> ChosenGates:
    """Return the project's gates.

    Raises
    ------
    SettingsError
        Everything in `validate` that cannot be, each with its place in the file.
    """
    found: dict[str, tuple[Gate, bool]] = {}
    asking: set[str] = set()
    problems: list[str] = []
    objectives = _objectives(settings, problems)
    for i, entry in enumerate(settings.policy.gates):
        where, told = settings.document.where(("validate", i)), entry.get("mode")
        names = [name for name in entry if name != "mode"]
        if len(names) != 1:
            problems.append(f"{where}: an entry of validate is one gate, {{NAME: OPTIONS}}, and `mode` or not")
            continue
        if "mode" in entry and told not in MODES:
            problems.append(f"{where}: mode: found {told!r}{hint(str(told), MODES)}")
        gate = collect(problems, where, partial(_gate, settings, names[0], entry[names[0]], objectives))
        if gate is None:
            continue
        if gate.key in found:
            problems.append(f"{where}: the gate {gate.key} stands twice")
        mode = told or ("ask" if getattr(gate, "asks", False) else "required")
        found[gate.key] = (gate, mode != "advisory")
        asking |= {gate.key} if mode == "ask" else set()
    if problems:
        raise SettingsError(*dict.fromkeys(problems))
    if not any(counts for _, counts in found.values()):
        where = settings.document.where(("validate",))
        raise SettingsError(f"{where}: validate: at least one gate has to be required, or nothing could ever be proved")
    return ChosenGates(gates=MappingProxyType(found), asking=frozenset(asking))


def _gate(settings: Settings, name: str, given: object, objectives: tuple[Objective | str, ...]) -> Gate:
    """Make a gate with what the project says elsewhere, and refuse one that this project could never measure."""
    kind = find_component("validate", name)
    options: Any = {} if given is None else given
    if isinstance(options, Mapping):
        options = {**_defaults(settings, name, objectives), **options}
        options |= _definition(settings, kind, options)
    gate: Gate = make_component(kind, options)
    if isinstance(gate, BeatsChampion | Suites) and gate.definition:
        own = gate.metric.removeprefix("business.")
        gate = replace(gate, function=code_metric(settings, own, gate.definition))
    asked = getattr(gate, "objectives", ()) if isinstance(given, Mapping) and "objectives" in given else ()
    problems = [problem for each in asked for problem in metric_problem(each, settings.task)]
    problems += [*_unknown_names(settings, gate), *_of_another_task(settings, gate)]
    problems += rule_problems(gate.keep, settings.columns) if isinstance(gate, Rules) else []
    metric = getattr(gate, "metric", "")
    if isinstance(gate, BeatsChampion | Suites) and metric != LOSS and not metric.startswith("business."):
        problems += metric_problem(gate, settings.task)
    if problems:
        raise SettingsError(*problems)
    return gate


def _defaults(settings: Settings, name: str, objectives: tuple[Objective | str, ...]) -> dict[str, Any]:
    match name:
        case "slos":
            return {
                "objectives": tuple(each for each in objectives if isinstance(each, Objective)),
                "unasked": tuple(each for each in objectives if isinstance(each, str)),
            }
        case "rules":
            rules = [each.get("rule") for each in settings.policy.triggers]
            return {"keep": tuple(each for each in rules if isinstance(each, str))}
        case "fairness":
            return {"columns": settings.columns.sensitive}
    return {}


def _definition(settings: Settings, kind: type[Any], options: Mapping[str, Any]) -> dict[str, str]:
    """Return the definition of a business metric that a gate compares."""
    for name in ("definition", "function"):
        if name in options:
            raise SettingsError(f"unknown option {name!r}; the project's own metrics stand under `business`")
    metric = str(options.get("metric", ""))
    own = metric.removeprefix("business.")
    if own == metric or "definition" not in {each.name for each in fields(kind)}:
        return {}
    if own not in settings.policy.business:
        known = tuple(settings.policy.business)
        raise SettingsError(f"metric {metric!r}, which `business` does not define{hint(own, known)}")
    return {"definition": settings.policy.business[own]}


def _unknown_names(settings: Settings, gate: Gate) -> list[str]:
    """Return a problem for each suite and column that a gate names and the project does not have, or not to show."""
    suites = settings.policy.suites
    asked = [*getattr(gate, "names", ()), *getattr(gate, "suites", ()), getattr(gate, "suite", "")]
    asked.append(getattr(gate, "serving", ""))
    problems = [f"{name!r} is no suite{hint(name, tuple(suites))}" for name in asked if name and name not in suites]
    if isinstance(gate, Anchor) and gate.suite in suites and not suites[gate.suite].file:
        problems.append(f"the suite {gate.suite} of an anchor has to be a sealed file: what moves pins nothing")
    known = (*settings.columns.names, *settings.columns.sensitive)
    columns = (*getattr(gate, "by", ()), *getattr(gate, "columns", ()))
    problems += [
        f"{name!r} is personal, and slices are named by its values in facts that stay; slice by another column"
        for name in getattr(gate, "by", ())
        if name in settings.policy.columns.personal
    ]
    return problems + [f"{name!r} is no column{hint(name, known)}" for name in columns if name not in known]


def _of_another_task(settings: Settings, gate: Gate) -> list[str]:
    """Return a problem where a gate asks what rows of this project cannot tell."""
    task = settings.task
    if isinstance(gate, Fairness):
        if gate.metric != "error" and task is not Task.BINARY:
            return [f"metric {gate.metric!r} is of binary tasks, and this one is {task}; use `error`"]
        if not gate.columns:
            return ["there are no groups: name `columns`, or declare columns.sensitive"]
    if isinstance(gate, Forgetting) and gate.flips is not None and not task.classifies:
        return [f"flips: answers that turn wrong are known of classes, and this task is {task}; use at_most"]
    return []


def _objectives(settings: Settings, problems: list[str]) -> tuple[Objective | str, ...]:
    """Return what the gate asks of a candidate; in words what it does not, as only what was served shows that."""
    made = (
        collect(
            problems,
            settings.document.where(("slos", i)),
            partial(make_slo, slo, settings, BESIDE),
        )
        for i, slo in enumerate(settings.policy.slos)
    )
    return tuple(
        _in_words(slo) if slo.definition else Objective(metric=slo.metric, at_most=slo.at_most, at_least=slo.at_least)
        for slo in made
        if slo is not None
    )


def _in_words(slo: SLO) -> str:
    """Say an objective on one of the project's own metrics."""
    return f"{slo.metric} at " + (f"most {slo.at_most:g}" if slo.at_most is not None else f"least {slo.at_least:g}")
