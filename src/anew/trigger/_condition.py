"""Which findings together ask for a retrain, and when: any, all, n of m; persistence, severity, hysteresis."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from anew.domain.errors import InvariantError
from anew.domain.facts import AlertRaised
from anew.domain.severity import Severity
from anew.trigger._streak import Streaks

__all__ = ["Changes", "Condition", "NewData", "Schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Asks for a retrain when enough of its detectors have found something for long enough.

    Parameters
    ----------
    detectors
        Keys of the detectors.
    needs
        How many of them must hold at the same time: 1 is any, all of them is all.
    windows
        Windows in a row that each must have found something in.
    severity
        Least severity of the alert that completes it.
    rearm
        Hysteresis: once it has asked, this many windows without an alert must pass before it may ask again; 0 is none.
        A promotion arms it at once.
    past_cooldown
        May it ask within a cooldown? The budget holds for it all the same.
    corrected
        Does the retrain need corrected history?
    """

    detectors: tuple[str, ...]
    needs: int = 1
    windows: int = 1
    severity: Severity = Severity.LOW
    rearm: int = 0
    past_cooldown: bool = False
    corrected: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.needs <= len(self.detectors):
            raise InvariantError(f"{self.needs} of {len(self.detectors)} detectors can never hold")
        if self.windows < 1 or self.rearm < 0:
            raise InvariantError(f"for {self.windows} windows, rearm {self.rearm}: count from 1, and from 0")

    @property
    def name(self) -> str:
        """The detector's key; for several ``all(…)``, ``any(…)`` or ``2 of (…)``."""
        if len(self.detectors) == 1:
            return self.detectors[0]
        few = {1: "any", len(self.detectors): "all"}.get(self.needs, f"{self.needs} of ")
        return f"{few}({', '.join(self.detectors)})"

    def holds(self, streaks: Streaks, alert: AlertRaised) -> bool:
        """Does `alert` complete it?"""
        run = streaks.run(alert.detector)
        if alert.detector not in self.detectors or alert.severity < self.severity:
            return False
        if run is None or alert.window.start < run.window.start:
            return False  # a window of the past, scored again: newer ones have spoken
        return sum(streaks.length(each) >= self.windows for each in self.detectors) >= self.needs

    def armed(self, streaks: Streaks, fired: Mapping[str, datetime], detector: str) -> bool:
        """May it ask at the detector's present run, after it did at an alert whose window began at ``fired[name]``?"""
        run = streaks.run(detector)
        if not self.rearm or run is None or self.name not in fired:
            return True
        return run.began > fired[self.name] and (run.quiet is None or run.quiet >= self.rearm)


class Schedule(Protocol):
    """When a retrain is intended, whatever was found."""

    @property
    def name(self) -> str:
        """As the policy writes it: ``every 24h``, ``cron 0 3 * * MON Europe/Berlin``."""
        ...

    @property
    def past_cooldown(self) -> bool:
        """May it ask within a cooldown?"""
        ...

    def due(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last intended instant in ``(after, until]``, None when there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Asks for a retrain when the project's code or its policy has changed."""

    code: bool = False
    policy: bool = False

    @property
    def name(self) -> str:
        """``changed(code, policy)``."""
        return f"changed({', '.join(each for each in ('code', 'policy') if getattr(self, each))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewData:
    """Asks for a retrain once so many labelled rows have come since the last one was asked for."""

    rows: int

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise InvariantError(f"new_data of {self.rows} rows: give a positive number")

    @property
    def name(self) -> str:
        """``new_data>=rows``."""
        return f"new_data>={self.rows}"
