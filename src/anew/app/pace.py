"""Does a stream bring rows enough for what watches it? Told by the pace of its history."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import timedelta
from math import ceil

from anew.adapters.table_file import table_reach
from anew.app.settings import Settings
from anew.app.watch import watched_by
from anew.domain.duration import write_duration
from anew.domain.errors import AnewError
from anew.monitor import Detector

__all__ = ["pace_notes"]

_PATIENT = 1.5
"""Rows of the period that is proposed, to those that are needed: not every week brings as many."""


def pace_notes(settings: Settings) -> Sequence[str]:
    """Say which detectors need more rows than a window, or their period, has at the pace of the project's history.

    Such a one is never measured, and so never finds anything. Empty without a history, or with windows of so many rows
    for those that read one window.

    Raises
    ------
    SettingsError
        The settings cannot be.
    """
    history = settings.policy.data.history
    if not history:
        return ()
    try:
        rows, length = table_reach(settings.root / history, settings.columns.time)
    except AnewError as exc:
        return (f"the pace of {history} is not known: {exc}",)
    if not length:
        return ()
    pace = rows / length.total_seconds()
    detectors = watched_by(settings).detectors.values()
    return tuple(
        f"{said} at the pace of {history}; {_way_out(each, settings, pace)}"
        for each in detectors
        if (said := _note(each, settings, pace))
    )


def _note(detector: Detector, settings: Settings, per_second: float) -> str:
    """Return what is wrong with one detector at so many rows a second; empty for nothing."""
    needed = _needed(detector)
    period = max(filter(None, (detector.over, settings.window)), default=None)
    found = float(settings.window_rows or 0) if period is None else per_second * period.total_seconds()
    if found >= needed:
        return ""
    where = "a window" if period in (None, settings.window) else write_duration(period)
    return f"{detector.key} needs {needed} rows and is not measured: {where} has about {found:.0f}"


def _needed(detector: Detector) -> int:
    return int(getattr(detector, "at_least_rows", 0))


def _way_out(detector: Detector, settings: Settings, per_second: float) -> str:
    unit = settings.window or timedelta(hours=1)
    enough = write_duration(ceil(_PATIENT * _needed(detector) / per_second / unit.total_seconds()) * unit)
    looks_back = is_dataclass(detector) and "period" in {each.name for each in fields(detector)}
    return f"give it over: {enough}" if looks_back else f"windows of {enough} would do"
