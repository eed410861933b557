"""Monitor: windows in, alerts and incidents out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from anew.domain.evidence import Evidence, failure
from anew.domain.fact import Fact
from anew.domain.facts import AlertRaised, IncidentRaised, RowsChecked, WindowClosed, WindowScored
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.monitor._detector import Detector, Finding

__all__ = ["Monitor", "MonitorState"]


@dataclass(frozen=True, slots=True)
class MonitorState:
    """Nothing has to be remembered: each window is judged by itself; persistence is the trigger's."""


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

    def apply(self, state: MonitorState, fact: Fact) -> MonitorState:  # noqa: ARG002  the decider's contract
        """Return `state`: no fact changes it."""
        return state

    def decide(self, state: MonitorState, fact: Fact) -> tuple[Fact, ...]:  # noqa: ARG002  the decider's contract
        """Raise an alert for each detector that finds something; incidents come first: nobody acts on broken data."""
        match fact:
            case WindowClosed() | WindowScored() | RowsChecked():
                found = self._found(fact)
                return tuple(sorted(found, key=lambda each: not isinstance(each, IncidentRaised)))
        return ()

    def _found(self, fact: WindowClosed | WindowScored | RowsChecked) -> list[Fact]:
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
            found.append(_incident(about, finding) if incident else _alert(about, finding))
        return found


class _About(NamedTuple):
    model: str
    at: datetime
    detector: str
    version: str
    window: Interval


def _incident(about: _About, finding: Finding) -> IncidentRaised:
    return IncidentRaised(**about._asdict(), evidence=finding.evidence, message=finding.message)


def _alert(about: _About, finding: Finding) -> AlertRaised:
    return AlertRaised(**about._asdict(), severity=finding.severity, evidence=finding.evidence, message=finding.message)


def _judged(detector: Detector, evidence: tuple[Evidence, ...]) -> tuple[Finding | None, bool]:
    """Return what the detector finds, and whether it failed to judge: then nobody knows how things stand."""
    try:
        return (detector.judge(evidence) if evidence else None), False
    except Exception as exc:  # noqa: BLE001 - detectors may be anybody's
        message = f"{detector.key} cannot judge what it measured: {failure(exc)}"
        return Finding(severity=Severity.HIGH, message=message, evidence=evidence), True
