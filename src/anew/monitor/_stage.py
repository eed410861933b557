"""Monitor: windows in, alerts and incidents out."""

from collections.abc import Mapping
from dataclasses import dataclass

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import AlertRaised, IncidentRaised, RowsChecked, WindowClosed, WindowScored
from anew.monitor._detector import Detector

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
            finding = detector.judge(tuple(by_key[key])) if key in by_key else None
            if finding is not None and getattr(detector, "incident", False):
                found.append(
                    IncidentRaised(
                        model=fact.model,
                        at=fact.at,
                        detector=key,
                        version=fact.version,
                        window=fact.window,
                        evidence=finding.evidence,
                        message=finding.message,
                    )
                )
            elif finding is not None:
                found.append(
                    AlertRaised(
                        model=fact.model,
                        at=fact.at,
                        detector=key,
                        version=fact.version,
                        window=fact.window,
                        severity=finding.severity,
                        evidence=finding.evidence,
                        message=finding.message,
                    )
                )
        return found
