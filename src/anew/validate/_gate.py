"""What a gate is: a measurement on a candidate's answers, and a judgement on that measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from anew.domain.column import Task
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict

__all__ = ["Gate", "Gates", "HeldOut", "Judgement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """The newest held-out rows with the answers of candidate and champion.

    Attributes
    ----------
    label, challenger, champion
        Shape `(n,)`: class labels as strings, or floats; `champion` is None for a first champion.
    challenger_loss, champion_loss
        Shape `(n,)`, in [0, 1], on one scale.
    positive
        For binary tasks the label that counts as positive, as a string.
    """

    task: Task
    label: npt.NDArray[Any]
    challenger: npt.NDArray[Any]
    challenger_loss: npt.NDArray[np.float64]
    champion: npt.NDArray[Any] | None = None
    champion_loss: npt.NDArray[np.float64] | None = None
    positive: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and, in one sentence, why."""

    verdict: Verdict
    reason: str


class Gate(Protocol):
    """One check that a candidate must pass; a frozen dataclass whose fields are its settings."""

    needs_champion: ClassVar[bool]

    @property
    def key(self) -> str:
        """Name of the gate: of its evidence and of its verdicts."""
        ...

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the candidate; pure. What cannot be measured is evidence with a problem."""
        ...

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """Judge this gate's own evidence; nothing measured is INCONCLUSIVE, a problem ERROR or INCONCLUSIVE."""
        ...


Gates = Mapping[str, tuple[Gate, bool]]
"""Gates by key, each with whether it is required."""
