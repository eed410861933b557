"""What a detector is: a measurement on a window, and a judgement on that measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Task
from anew.domain.evidence import Evidence
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.monitor._trait import Traits
from anew.stats.metric import Score
from anew.stats.outcome import measure_metric, needs_chance
from anew.stats.profile import Profile, Reference

__all__ = ["Detector", "Detectors", "Finding", "ScoredRows", "SeenRows", "Yardstick"]


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What the rows of a version are compared with: what it was trained on.

    Attributes
    ----------
    features
        Profile of the declared features of the training rows, with the bins that windows are counted on.
    labels, outputs
        The same of their labels and of the version's answers to them; None for a version that was stored without.
    sample
        Some rows of its snapshot, evenly spaced among those trained on and among those held out: declared features,
        ``_label``, ``_output``, ``_p0 … _pk`` (class probabilities in class order, when the model has them) and
        ``_held`` (was the row kept from training?). Empty where no detector asked for one.
    traits
        What is known of its columns besides; None for a version that was stored without.
    kept
        What detectors have made of it, by key, so that it is made once.
    """

    features: Reference
    labels: Reference | None = None
    outputs: Reference | None = None
    sample: pl.DataFrame = field(default_factory=_no_rows)
    traits: Traits | None = None
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRows:
    """What was asked and answered in a period, labelled or not.

    Attributes
    ----------
    window
        The period: a window that has closed, or, for a detector that cannot wait, what came since its last look.
    classes
        For classification the declared labels, as strings, in the order of the probabilities.
    numbered
        Are answers numbers, see `Columns.numbered`? In the rows, classes are text all the same.
    profile
        Of the declared features, on the yardstick's bins.
    rows
        Declared features, ``_at``, ``_output``, and ``_p0 … _pk`` where the model has probabilities.
    """

    task: Task
    window: Interval
    yardstick: Yardstick
    profile: Callable[[], Profile]
    rows: pl.DataFrame
    classes: tuple[str, ...] = ()
    numbered: bool = False

    @property
    def n(self) -> int:
        """Rows of the period."""
        return self.rows.height


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
        Shape `(n,)`, in [0, 1]; `loss_scale` is the absolute error that counts as 1, for regression.
    rows
        Predictions of the period, labelled or not.
    table
        The labelled rows in time order: declared features, ``_at``, ``_version`` (who answered), ``_output``,
        ``_label``, ``_p0 … _pk`` where the model has probabilities, and the outcomes that were reported for them by
        name.
    answers
        All rows of the period, labelled or not, with the same columns.
    words
        What each source says of each prediction, those too that do not count: ``_prediction``, ``_source``, ``_value``.
        Empty unless a detector reads it.
    version
        The champion that answered most of the window; `yardstick` is its own.
    window
        The newest window of the period, whose labels are mature now.
    """

    task: Task
    label: npt.NDArray[Any]
    output: npt.NDArray[Any]
    loss: npt.NDArray[np.float64]
    rows: int
    positive: str = ""
    classes: tuple[str, ...] = ()
    table: pl.DataFrame = field(default_factory=_no_rows)
    answers: pl.DataFrame = field(default_factory=_no_rows)
    words: pl.DataFrame = field(default_factory=_no_rows)
    yardstick: Yardstick | None = None
    version: str = ""
    window: Interval | None = None
    loss_scale: float = 1.0

    @property
    def n(self) -> int:
        """Labelled rows."""
        return len(self.label)

    def score(self, metric: str, confidence: float = 0.95) -> Score:
        """Measure a metric of these rows.

        Raises
        ------
        InvariantError
            It makes no sense for the task, or cannot be measured on these rows.
        """
        names = [f"_p{k}" for k in range(len(self.classes))]
        known = needs_chance(metric) and bool(names) and set(names) <= set(self.table.columns)
        return measure_metric(
            metric,
            self.task,
            self.label,
            self.output,
            positive=self.positive,
            chance=self.table.select(names).to_numpy() if known else None,
            classes=self.classes,
            confidence=confidence,
        )

    def where(self, rows: pl.Series) -> "ScoredRows":
        """Return those rows that `rows`, booleans of length n, marks."""
        marked = rows.to_numpy()
        return replace(
            self,
            label=self.label[marked],
            output=self.output[marked],
            loss=self.loss[marked],
            table=self.table.filter(rows),
        )

    def part(self, low: int, high: int) -> "ScoredRows":
        """Return the labelled rows from `low` up to `high`, without those that are not labelled and without words."""
        return replace(
            self,
            label=self.label[low:high],
            output=self.output[low:high],
            loss=self.loss[low:high],
            rows=high - low,
            table=self.table.slice(low, high - low),
            answers=_no_rows(),
            words=_no_rows(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A detector's judgement that something is the matter, in one sentence."""

    severity: Severity
    message: str
    evidence: tuple[Evidence, ...]


class Detector(Protocol):
    """One way of seeing that a model goes stale; a frozen dataclass whose fields are its settings.

    `labels` says which half of the measuring it has: False, it reads the rows of a window when it closes; True, it
    reads scored rows when the window's labels are mature, over `over` (None: that window). More class variables say
    what is special, each False where it is left out:

    `at_once`
        It reads new rows as they come as well, and does not wait for the window's end.
    `incident`
        What it finds is a broken feed: nobody retrains on that (see IncidentRaised).
    `needs_sample`
        It reads the yardstick's sample, which is then stored with every version.
    `needs_feedback`
        It reads outcomes and the words of each source.
    `needs_traits`
        It reads the yardstick's traits, likewise.
    `most_rows`
        Of its period it reads no more than so many of the newest labelled rows of the version in question, a number.
    `calibrated`
        Its false alarms are counted against the budget that the project declares. It has the fields `alpha`, the chance
        of a false alert in a window, which is its share of the budget where the project says None; and `declared`, the
        budget in words. A share below `least_alpha`, if it has that, is an error of the project's settings.
    """

    @property
    def labels(self) -> bool:
        """Which half of the measuring it has: a class variable, or a property where its settings say."""
        ...

    @property
    def key(self) -> str:
        """Name of the detector with its settings: the name of its evidence and of its alerts."""
        ...

    @property
    def over(self) -> timedelta | None:
        """Period of the rows that it reads; None for one window."""
        ...

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the rows of a window against the yardstick; pure."""
        ...

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure scored rows; pure."""
        ...

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Say what this detector's own `evidence` means; None when nothing is the matter or nothing was measured."""
        ...


Detectors = Mapping[str, Detector]
