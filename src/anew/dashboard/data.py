"""What came in: which columns have moved, what was broken, how labels come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from anew.dashboard.asking import Asking
from anew.dashboard.part import Labels, Measure, Said, labels_of, measured, sentences
from anew.dashboard.record import Record
from anew.dashboard.source import Shift
from anew.domain.errors import AnewError
from anew.domain.facts import AlertRaised, IncidentRaised, WindowClosed

__all__ = ["Alert", "DataPage", "data_page"]

_MOST_ALERTS, _MOST_WINDOWS, _MOST_COLUMNS = 12, 26, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What a detector found in the last window."""

    detector: str
    severity: str
    message: str
    since: datetime | None
    evidence: tuple[Measure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPage:
    """All of it.

    Attributes
    ----------
    shifts
        Columns of the last window against the training rows of the version that served it, what would change its loss
        most first, and where that is not known what moved most; `columns` says how many there are, `problem` why they
        cannot be shown.
    shown
        The column whose distribution is drawn.
    """

    version: str
    start: datetime | None
    end: datetime | None
    answers: int
    alerts: tuple[Alert, ...]
    columns: int
    shifts: tuple[Shift, ...]
    shown: Shift | None
    problem: str
    detected: tuple[Measure, ...]
    incidents: tuple[Said, ...]
    labels: tuple[Labels, ...]


def data_page(asking: Asking) -> DataPage:
    """Make the page."""
    record = asking.record
    closed = record.last("WindowClosed")
    window = closed if isinstance(closed, WindowClosed) else None
    shifts, problem = _shifts(asking, window)
    name = asking.query.get("column", "")
    shown = next((each for each in shifts if each.column == name), shifts[0] if shifts else None)
    incidents = [
        each for each in record.of_kind("IncidentRaised", most=_MOST_ALERTS) if isinstance(each, IncidentRaised)
    ]
    return DataPage(
        version=window.version if window else "",
        start=window.window.start if window else None,
        end=window.window.end if window else None,
        answers=window.n if window else 0,
        alerts=_alerts(record, window),
        columns=len(shifts),
        shifts=tuple(shifts[:_MOST_COLUMNS]),
        shown=shown,
        problem=problem,
        detected=measured(window.evidence) if window else (),
        incidents=sentences(reversed(incidents), asking.source.narrate),
        labels=tuple(labels_of(each) for each in reversed(record.scored(_MOST_WINDOWS))),
    )


def _shifts(asking: Asking, window: WindowClosed | None) -> tuple[Sequence[Shift], str]:
    if window is None:
        return (), ""
    try:
        served = asking.record.version(window.version)
        found = asking.source.shifts(window, served.digest if served else "")
    except AnewError as exc:
        return (), str(exc)
    return sorted(found, key=lambda each: (each.effect is None, -abs(each.effect or 0.0), -each.psi)), ""


def _alerts(record: Record, window: WindowClosed | None) -> tuple[Alert, ...]:
    if window is None:
        return ()
    last = [each for each in record.of_kind("AlertRaised", most=500) if isinstance(each, AlertRaised)]
    found = [each for each in last if each.window.end > window.window.start]
    newest = {each.detector: each for each in found}
    ranked = sorted(newest.values(), key=lambda each: -each.severity)[:_MOST_ALERTS]
    return tuple(
        Alert(
            detector=each.detector,
            severity=each.severity.name.lower(),
            message=each.message,
            since=each.since,
            evidence=measured(each.evidence),
        )
        for each in ranked
    )
