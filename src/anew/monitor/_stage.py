"""Monitor: windows in, alerts and incidents out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from anew.domain.evidence import Evidence, failure
from anew.domain.fact import Fact
from anew.domain.facts import AlertRaised, IncidentRaised, RowsChecked, WindowClosed, WindowScored
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.monitor._detector import Detector, Finding

__all__ = ["Monitor", "MonitorState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What a detector has found window after window of one version.

    Attributes
    ----------
    window
        Start of the last window that it measured something in.
    found, before
        Since when each subject has been found, in that window and in the one before it.
    """

    version: str
    window: datetime
    found: Mapping[str, datetime]
    before: Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class MonitorState:
    """Since when each detector has found what it finds; persistence is the trigger's."""

    runs: Mapping[str, _Run] = field(default_factory=lambda: MappingProxyType({}))

    def since(self, detector: str, version: str, window: Interval, subjects: Iterable[str]) -> datetime:
        """Return the start of the first window in a row in which one of the subjects was found; no later than this."""
        run = self.runs.get(detector)
        if run is None or run.version != version or run.window != window.start:
            return window.start
        return min((run.before.get(each, window.start) for each in subjects), default=window.start)


_Measured = WindowClosed | WindowScored | RowsChecked


@dataclass(frozen=True, slots=True)
class Monitor:
    """Asks every detector about the evidence that bears its key.

    Parameters
    ----------
    detectors
        By key.
    """

    detectors: Mapping[str, Detector]

    def initial(self) -> MonitorState:
        """Return the empty state."""
        return MonitorState()

    def apply(self, state: MonitorState, fact: Fact) -> MonitorState:
        """Fold a fact."""
        match fact:
            case WindowClosed() | WindowScored() | RowsChecked():
                return _measured(state, fact)
            case AlertRaised():
                return _alerted(state, fact)
        return state

    def decide(self, state: MonitorState, fact: Fact) -> tuple[Fact, ...]:
        """Raise an alert for each detector that finds something; incidents come first: nobody acts on broken data."""
        match fact:
            case WindowClosed() | WindowScored() | RowsChecked():
                found = self._found(state, fact)
                return tuple(sorted(found, key=lambda each: not isinstance(each, IncidentRaised)))
        return ()

    def _found(self, state: MonitorState, fact: _Measured) -> list[Fact]:
        by_key: dict[str, list[Evidence]] = {}
        for evidence in fact.evidence:
            by_key.setdefault(evidence.name, []).append(evidence)
        found: list[Fact] = []
        for key, detector in self.detectors.items():
            finding, broken = _judged(detector, tuple(by_key.get(key, ())))
            if finding is None:
                continue
            about = _About(fact.model, fact.at, key, fact.version, fact.window)
            incident = broken or getattr(detector, "incident", False)
            since = state.since(key, fact.version, fact.window, (each.subject for each in finding.evidence))
            found.append(_incident(about, finding) if incident else _alert(about, finding, since))
        return found


class _About(NamedTuple):
    model: str
    at: datetime
    detector: str
    version: str
    window: Interval


def _incident(about: _About, finding: Finding) -> IncidentRaised:
    return IncidentRaised(**about._asdict(), evidence=finding.evidence, message=finding.message)


def _alert(about: _About, finding: Finding, since: datetime) -> AlertRaised:
    return AlertRaised(
        **about._asdict(),
        severity=finding.severity,
        evidence=finding.evidence,
        message=finding.message,
        since=since,
    )


def _measured(state: MonitorState, fact: _Measured) -> MonitorState:
    """Turn to the fact's window, for each detector that measured something in it; others have not seen it."""
    runs = dict(state.runs)
    for detector in {each.name for each in fact.evidence if each.measured}:
        run = runs.get(detector)
        if run is None or run.version != fact.version:
            runs[detector] = _Run(version=fact.version, window=fact.window.start, found={}, before={})
        elif run.window < fact.window.start:
            runs[detector] = _Run(version=fact.version, window=fact.window.start, found={}, before=run.found)
        elif run.window == fact.window.start:
            runs[detector] = replace(run, found={})  # measured again, with labels that came later
    return MonitorState(MappingProxyType(runs))


def _alerted(state: MonitorState, alert: AlertRaised) -> MonitorState:
    run = state.runs.get(alert.detector)
    if run is None or run.version != alert.version or run.window != alert.window.start:
        return state
    found = {each.subject: run.before.get(each.subject, alert.window.start) for each in alert.evidence}
    return MonitorState(MappingProxyType({**state.runs, alert.detector: replace(run, found=found)}))


def _judged(detector: Detector, evidence: tuple[Evidence, ...]) -> tuple[Finding | None, bool]:
    """Return what the detector finds, and whether it failed to judge: then nobody knows how things stand."""
    try:
        return (_finding(detector.judge(evidence)) if evidence else None), False
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - detectors may be anybody's
        message = f"{detector.key} cannot judge what it measured: {failure(exc)}"
        return Finding(severity=Severity.HIGH, message=message, evidence=evidence), True


def _finding(said: object) -> Finding | None:
    """Return what a detector said, where it is something that a detector may say."""
    if said is None:
        return None
    if not isinstance(said, Finding):
        raise TypeError(f"it returned {said!r:.80}; it has to return an anew.monitor.Finding, or None")
    if not isinstance(said.severity, Severity) or not isinstance(said.message, str):
        raise TypeError(f"it returned {said!r:.80}; severity has to be an anew.domain.severity.Severity, message text")
    if not isinstance(said.evidence, tuple | list) or not all(isinstance(each, Evidence) for each in said.evidence):
        raise TypeError(f"it returned the evidence {said.evidence!r:.80}; it has to be a tuple of Evidence")
    return replace(said, evidence=tuple(said.evidence))
