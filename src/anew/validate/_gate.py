"""What a gate is: a measurement on a candidate's answers, and a judgement on that measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.manifest import Manifest
from anew.domain.verdict import Verdict
from anew.stats.metric import Score
from anew.stats.outcome import losses, measure_metric

__all__ = ["Answers", "Disparity", "Examinee", "Gate", "Gates", "HeldOut", "Judgement", "Package"]


class Answers(NamedTuple):
    """What a version says to rows: labels as text or floats, shape `(n,)`, and probabilities `(n, k)` or None."""

    output: npt.NDArray[Any]
    chance: npt.NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A candidate as it lies in the artifact store.

    Attributes
    ----------
    files
        Size in bytes by name.
    findings
        What was found that a model's file should not hold, a sentence each.
    one_ms, batch_ms
        Milliseconds of single answers through the online path, and of batches of `batch_rows`.
    memory_bytes
        Resident memory that loading it and answering took.
    card_problems
        What its model card lacks, a sentence each.

    """

    files: Mapping[str, int]
    findings: tuple[str, ...] = ()
    one_ms: tuple[float, ...] = ()
    batch_ms: tuple[float, ...] = ()
    batch_rows: int = 0
    memory_bytes: int = 0
    card_problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examinee:
    """The candidate, for gates that have to ask it more than the held-out rows tell; its functions are pure.

    Attributes
    ----------
    answer
        Through the offline path: all rows at once.
    online
        Through the path that requests take: row by row.
    inputs
        What `features` makes of rows.
    package
        Looks at the stored artifact; None in a replay, where nothing is stored and no clock is read.
    """

    manifest: Manifest
    answer: Callable[[pl.DataFrame], Answers]
    online: Callable[[pl.DataFrame], Answers]
    inputs: Callable[[pl.DataFrame], pl.DataFrame]
    package: Callable[[], Package] | None = None


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame()


Suites = Mapping[str, Callable[[], "HeldOut"]]
Disparity = Callable[[str, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], str], float]
"""A second opinion on a fairness metric: its name, labels, answers, groups and the positive label give its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """The newest held-out rows, or those of a suite, with the answers of candidate and champion.

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
    numbered
        Are answers numbers, see `Columns.numbered`? `label`, `challenger` and `champion` are strings all the same.
    challenger_chance, champion_chance
        Class probabilities, shape `(n, k)`; None of a model that gives none.
    anchor_loss
        Losses of the pinned version, shape `(n,)`; None where none is pinned.
    loss_scale
        Absolute error that counts as 1, for regression.
    table
        The rows themselves: declared features, ``_at``, ``_label`` and the sensitive columns.
    training
        The rows that the candidate was trained on, in time order: the same columns.
    trained
        Makes the newest n rows that the candidate was trained on, asked like these.
    trained_on
        How many of the rows are among those trained on; these prove nothing.
    suites
        Named benchmark suites; each is made when it is asked for.
    candidate
        To be asked more; None where there is nobody to ask.
    disparity
        A second opinion on fairness metrics.
    """

    task: Task
    label: npt.NDArray[Any]
    challenger: npt.NDArray[Any]
    challenger_loss: npt.NDArray[np.float64]
    champion: npt.NDArray[Any] | None = None
    champion_loss: npt.NDArray[np.float64] | None = None
    positive: str = ""
    classes: tuple[str, ...] = ()
    numbered: bool = False
    challenger_chance: npt.NDArray[np.float64] | None = None
    champion_chance: npt.NDArray[np.float64] | None = None
    anchor_loss: npt.NDArray[np.float64] | None = None
    loss_scale: float = 1.0
    table: pl.DataFrame = field(default_factory=_no_rows)
    training: pl.DataFrame = field(default_factory=_no_rows)
    trained: Callable[[int], "HeldOut"] | None = None
    trained_on: int = 0
    suites: Suites = field(default_factory=dict)
    candidate: Examinee | None = None
    disparity: Disparity | None = None

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.label)

    def lost(self, output: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the bounded losses of other answers to these rows, shape `(n,)`."""
        return losses(self.task, self.label, output, self.loss_scale)

    def suite(self, name: str) -> "HeldOut":
        """Return the rows of a suite.

        Raises
        ------
        InvariantError
            There is none of this name, or it cannot be used; the message says why.
        """
        if name not in self.suites:
            raise InvariantError(f"there is no suite {name!r} (known: {', '.join(self.suites) or 'none'})")
        found = self.suites[name]()
        if found.trained_on:
            raise InvariantError(f"{found.trained_on} rows of the suite {name} are among those trained on")
        return found

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

    def at(self, rows: npt.NDArray[Any]) -> "HeldOut":
        """Return the rows with these numbers, or those that booleans of shape `(n,)` mark."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows

        def picked(values: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
            return None if values is None else values[index]

        return replace(
            self,
            label=self.label[index],
            challenger=self.challenger[index],
            challenger_loss=self.challenger_loss[index],
            champion=picked(self.champion),
            champion_loss=picked(self.champion_loss),
            challenger_chance=picked(self.challenger_chance),
            champion_chance=picked(self.champion_chance),
            anchor_loss=picked(self.anchor_loss),
            table=self.table[index] if self.table.height else self.table,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and, in one sentence, why."""

    verdict: Verdict
    reason: str


class Gate(Protocol):
    """One check that a candidate must pass; a frozen dataclass whose fields are its settings.

    A class variable `packaged`, where it is True, says that the gate looks at the stored artifact or at the clock: a
    replay leaves it out. One called `asks` says that it asks a person where the policy names no mode; one called
    `partial`, that it may pass though some of its evidence has a problem, as slices too small to be judged have.
    """

    needs_champion: ClassVar[bool]

    @property
    def key(self) -> str:
        """Name of the gate: of its evidence and of its verdicts."""
        ...

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the candidate; pure. What cannot be measured is evidence with a problem; all of it bears `key`."""
        ...

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """Judge this gate's own evidence; nothing measured is INCONCLUSIVE, a problem ERROR or INCONCLUSIVE.

        It is not asked where `measure` raised. A PASS on evidence with a problem, or without a number, is an ERROR.
        """
        ...


Gates = Mapping[str, tuple[Gate, bool]]
"""Gates by key, each with whether it counts."""
