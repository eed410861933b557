"""Objectives and the project's own metrics: from the settings to detectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from anew.adapters.pipeline_module import defines, load_function
from anew.app.accepted import kept_code
from anew.app.component import hint, make_component
from anew.app.settings import Settings
from anew.domain.column import Task
from anew.domain.errors import SettingsError
from anew.feedback.outcome import THUMB
from anew.loop.training_order import find_code
from anew.monitor.performance import Performance
from anew.monitor.slo import SLO
from anew.stats.business import Aggregate
from anew.stats.outcome import is_known, known_for

__all__ = ["BESIDE", "CODE", "code_metric", "make_slo", "metric_problem", "performance", "with_period"]

BESIDE = ("bypass", "for", "rearm", "severity")
"""Keys of an entry that say how what is found asks for a retrain."""
CODE = "pipeline:"
"""Begins the definition of a metric of the project's own that is a function of the pipeline."""
_OWN = "business."


def make_slo(entry: Mapping[str, Any], settings: Settings, beside: Sequence[str] = ()) -> SLO:
    """Make an objective's detector; in the file its period is called `over`.

    Parameters
    ----------
    beside
        Keys of the entry that are somebody else's.
    """
    for name in ("definition", "events", "function"):
        if name in entry:
            raise SettingsError(f"unknown option {name!r}; the project's own metrics stand under `business`")
    given = {name: value for name, value in entry.items() if name not in beside}
    metric = str(given.get("metric", ""))
    if not metric.startswith(_OWN):
        made: SLO = make_component(SLO, with_period(SLO, given))
        return made
    business, own = settings.policy.business, metric.removeprefix(_OWN)
    if own not in business:
        raise SettingsError(f"slo on metric {metric!r}, which `business` does not define{hint(own, [*business])}")
    return _own_metric(settings, own, business[own], given)


def _own_metric(settings: Settings, name: str, definition: str, given: Mapping[str, Any]) -> SLO:
    """Make the objective of one of the project's own metrics: an aggregate in SQL, or a function of the pipeline."""
    events = (*settings.events, THUMB)
    own = code_metric(settings, name, definition)
    if own is not None:
        code: SLO = make_component(SLO, with_period(SLO, given) | {"definition": "0"})
        return replace(code, definition=definition, events=events, function=own)
    made: SLO = make_component(SLO, with_period(SLO, given) | {"definition": definition})
    read = made.names
    return replace(made, events=tuple(each for each in events if each in read))


def code_metric(settings: Settings, name: str, definition: str) -> Aggregate | None:
    """Return the function of the pipeline that a metric of the project's own is; None for one in SQL."""
    if not definition.startswith(CODE):
        return None
    function = definition.removeprefix(CODE)
    source = find_code(settings.code, (kept_code(settings), settings.pipeline))
    if not defines(settings.pipeline, function, source):
        raise SettingsError(
            f"business.{name}: {settings.pipeline.name} defines no {function!r}; write `def {function}(rows):`"
        )
    return _Function(path=settings.pipeline, name=function, source=source)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Function:
    """A function of the project's pipeline as it was read with the settings, loaded when it is called first."""

    path: Path
    name: str
    source: bytes | None

    def __call__(self, rows: pl.DataFrame) -> object:
        """Call it."""
        return _loaded(self.path, self.name, self.source)(rows)


@cache
def _loaded(path: Path, name: str, source: bytes | None) -> Any:
    return load_function(path, name, source)


def performance(settings: Settings) -> Performance | None:
    """Return what measures the metrics that the project wants on record; None when it names none."""
    monitor = settings.policy.monitor
    if not monitor.metrics:
        if monitor.slices:
            known = ", ".join(known_for(settings.task))
            raise SettingsError(
                f"slices {list(monitor.slices)}: nothing is measured on them, as no metrics are named; write "
                f"monitor.metrics as well (known: {known}), or leave slices out"
            )
        return None
    problems = [
        f"{each!r} makes no sense for {settings.task} (known: {', '.join(known_for(settings.task))})"
        for each in monitor.metrics
        if not is_known(each, settings.task)
    ]
    if problems:
        raise SettingsError(*problems)
    made: Performance = make_component(Performance, {"metrics": monitor.metrics, "by": monitor.slices})
    return made


def with_period(kind: type[Any], given: object) -> Any:
    """Rename ``over``, as the period of a detector is called in the file, to its field."""
    if not isinstance(given, Mapping) or "period" not in {each.name for each in fields(kind)}:
        return given
    if "period" in given:
        raise SettingsError("unknown option 'period'; did you mean over?")
    return {"period" if name == "over" else name: value for name, value in given.items()}


def metric_problem(measuring: object, task: Task) -> list[str]:
    """Say, in a list of none or one, why a metric cannot be measured on this task."""
    metric = getattr(measuring, "metric", None)
    own = isinstance(measuring, SLO) and bool(measuring.definition)
    if metric is None or own or is_known(metric, task):
        return []
    return [f"metric {metric!r} makes no sense for {task} (known: {', '.join(known_for(task))})"]
