"""What a gate is: a measurement on a candidate's answers, and a judgement on that measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.metric import Score
from anew.stats.outcome import measure_metric

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
    classes
        Class labels as strings, in the order of the columns of the probabilities.
    challenger_chance, champion_chance
        Class probabilities, shape `(n, k)`; None of a model that gives none.
    """

    task: Task
    label: npt.NDArray[Any]
    challenger: npt.NDArray[Any]
    challenger_loss: npt.NDArray[np.float64]
    champion: npt.NDArray[Any] | None = None
    champion_loss: npt.NDArray[np.float64] | None = None
    positive: str = ""
    classes: tuple[str, ...] = ()
    challenger_chance: npt.NDArray[np.float64] | None = None
    champion_chance: npt.NDArray[np.float64] | None = None

    def score(self, metric: str, *, of_champion: bool = False) -> Score:
        """Measure the candidate's metric, or the champion's.

        Raises
        ------
        InvariantError
            It makes no sense for the task, or cannot be measured on these rows.
        """
        answers, chance = self.challenger, self.challenger_chance
        if of_champion:
            if self.champion is None:
                raise InvariantError("there is no champion")
            answers, chance = self.champion, self.champion_chance
        return measure_metric(
            metric, self.task, self.label, answers, positive=self.positive, chance=chance, classes=self.classes
        )


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
