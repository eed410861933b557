"""The project's gates, and what each verdict means: it counts, only advises, or asks a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from anew.app.component import collect, find_component, hint, make_component
from anew.app.objective import BESIDE, make_slo, metric_problem
from anew.app.settings import Settings
from anew.domain.errors import SettingsError
from anew.validate import Gate, Gates
from anew.validate.slos import Objective

__all__ = ["MODES", "ChosenGates", "chosen_gates"]

MODES = ("required", "advisory", "ask")
"""What becomes of a verdict that is no PASS: the candidate is refused, it goes on, or it waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenGates:
    """Gates by key, each with whether it counts, and the keys of those that ask a person."""

    gates: Gates
    asking: frozenset[str]


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
        where, mode = settings.document.where(("validate", i)), entry.get("mode", "required")
        names = [name for name in entry if name != "mode"]
        if len(names) != 1:
            problems.append(f"{where}: an entry of validate is one gate, {{NAME: OPTIONS}}, and `mode` or not")
            continue
        if mode not in MODES:
            problems.append(f"{where}: mode: found {mode!r}{hint(str(mode), MODES)}")
        gate = collect(problems, where, partial(_gate, settings, names[0], entry[names[0]], objectives))
        if gate is None:
            continue
        if gate.key in found:
            problems.append(f"{where}: the gate {gate.key} stands twice")
        found[gate.key] = (gate, mode != "advisory")
        asking |= {gate.key} if mode == "ask" else set()
    if problems:
        raise SettingsError(*dict.fromkeys(problems))
    if not any(counts for _, counts in found.values()):
        where = settings.document.where(("validate",))
        raise SettingsError(f"{where}: validate: at least one gate has to be required, or nothing could ever be proved")
    return ChosenGates(gates=MappingProxyType(found), asking=frozenset(asking))


def _gate(settings: Settings, name: str, given: object, objectives: tuple[Objective, ...]) -> Gate:
    """Make a gate and refuse one that this project could never measure."""
    options: Any = {} if given is None else given
    if name == "slos" and isinstance(options, Mapping):
        options = {"objectives": objectives} | dict(options)
    gate: Gate = make_component(find_component("validate", name), options)
    own = getattr(gate, "objectives", ()) if isinstance(given, Mapping) and "objectives" in given else ()
    problems = [problem for each in own for problem in metric_problem(each, settings.task)]
    if problems:
        raise SettingsError(*problems)
    return gate


def _objectives(settings: Settings, problems: list[str]) -> tuple[Objective, ...]:
    """Return what the gate asks of a candidate: the business's own metrics can only be seen of what was served."""
    made = (
        collect(
            problems,
            settings.document.where(("slos", i)),
            partial(make_slo, slo, settings, BESIDE),
        )
        for i, slo in enumerate(settings.policy.slos)
    )
    return tuple(
        Objective(metric=slo.metric, at_most=slo.at_most, at_least=slo.at_least)
        for slo in made
        if slo is not None and not slo.definition
    )
