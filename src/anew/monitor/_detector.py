"""What a detector is: a measurement on a window, and a judgement on that measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from anew.domain.column import Task
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.stats.profile import Profile, Reference

__all__ = ["Detector", "Detectors", "Finding", "ScoredRows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRows:
    """Served answers with their labels, over the period that a detector asked for.

    Attributes
    ----------
    label, output
        Shape `(n,)`: class labels as strings, or floats for regression.
    positive
        For binary tasks the label that counts as positive, as a string.
    loss
        Shape `(n,)`, in [0, 1].
    rows
        Predictions of the period, labelled or not.
    """

    task: Task
    label: npt.NDArray[Any]
    output: npt.NDArray[Any]
    loss: npt.NDArray[np.float64]
    rows: int
    positive: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A detector's judgement that something is the matter, in one sentence."""

    severity: Severity
    message: str
    evidence: tuple[Evidence, ...]


class Detector(Protocol):
    """One way of seeing that a model goes stale; a frozen dataclass whose fields are its settings.

    `labels` says which half of `measure` it has: False, it compares profiles when a window closes; True, it reads
    scored rows when the window's labels are mature, over `over` (None: that window).
    """

    labels: ClassVar[bool]

    @property
    def key(self) -> str:
        """Name of the detector with its settings: the name of its evidence and of its alerts."""
        ...

    @property
    def over(self) -> timedelta | None:
        """Period of the rows that it reads; None for one window."""
        ...

    def measure_profiles(self, reference: Reference, current: Profile) -> tuple[Evidence, ...]:
        """Measure a window's profile against the reference; pure."""
        ...

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure scored rows; pure."""
        ...

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Say what this detector's own `evidence` means; None when nothing is the matter or nothing was measured."""
        ...


Detectors = Mapping[str, Detector]
