"""Gate: what is too good to be true asks a person."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import ColumnKind
from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, lacking, unmeasured
from anew.validate._paired import loss_excess

__all__ = ["LEAP", "Leakage"]

LEAP = "loss beside the champion's"
_SAID = 20
_OF_A_CLASS = 10
"""Rows that a class needs to be told by a column: one row or two stand at an end of any column often enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """Find a leap over the champion, a loss next to nothing, and a model input that gives the answer away.

    Unless told otherwise it asks: a person looks whether the model became so good, or learned something that requests
    will not carry.

    Parameters
    ----------
    better_by
        Share of the champion's loss that a candidate may be better by.
    loss_at_least
        Bounded loss below which any candidate is too good.
    column_at_most
        How well one input of the model alone may tell the answer: the area under the ROC curve of its values for a
        class against the rest (folded, so in [0.5, 1]), or the absolute rank correlation with a number.
    at_least_rows
        Rows needed.

    Notes
    -----
    FAIL says "too good", not "leaking". A champion that has gone stale makes every good candidate a leap: where the
    world changes at once, give `better_by` room. What is looked at is what `features` makes of the declared columns: a
    column that it leaves out, or that is only sensitive, gives nothing away. Categories, and numbers of few values as
    codes are, are looked at by the share of their rows that has the commonest label, too. Of many inputs those that
    tell most are on record. A class of fewer than ten rows is told by chance, and vectors by what they are; neither is
    looked at. Do not use it where an input may rightly tell nearly all, such as yesterday's value in a forecast.

    References
    ----------
    Kaufman et al. (2012), "Leakage in data mining", TKDD 6.

    Examples
    --------
    >>> from anew.domain.column import Task
    >>> label = np.random.default_rng(1).choice(["0", "1"], 400)
    >>> table = pl.DataFrame({"refunded": (label == "1").astype(float)})
    >>> loss = (np.arange(400) % 10 == 0).astype(float)
    >>> rows = HeldOut(task=Task.BINARY, label=label, challenger=label, challenger_loss=loss, table=table)
    >>> Leakage().judge(Leakage().measure(rows)).reason
    'refunded alone tells the label (1, on 400 rows); more than 0.98 is too good'
    """

    needs_champion: ClassVar[bool] = False
    asks: ClassVar[bool] = True

    better_by: float = 0.8
    loss_at_least: float = 0.001
    column_at_most: float = 0.98
    at_least_rows: int = 100

    def __post_init__(self) -> None:
        limits = (self.better_by, self.loss_at_least, self.column_at_most)
        if self.at_least_rows < 2 or not all(0 <= each <= 1 for each in limits):
            raise InvariantError(f"{self} is no gate: limits lie in [0, 1], at least 2 rows")

    @property
    def key(self) -> str:
        """``leakage``."""
        return "leakage"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the loss, the leap over the champion, and what each input tells alone, of those that tell most."""
        if rows.n < self.at_least_rows:
            return (unmeasured(self.key, "loss", f"{rows.n} rows, {self.at_least_rows} are needed", rows.n),)
        theirs = None if rows.champion_loss is None else float(rows.champion_loss.mean())
        found = [Evidence.of(self.key, float(rows.challenger_loss.mean()), rows.n, subject="loss", reference=theirs)]
        if rows.champion_loss is not None:
            found.append(self._leap(rows, rows.champion_loss))
        told = [(_tells(rows, values), values.name) for values in _inputs(rows)]
        most = sorted(((value, name) for value, name in told if value is not None), reverse=True)[:_SAID]
        return (*found, *(Evidence.of(self.key, value, rows.n, subject=name) for value, name in most))

    def _leap(self, rows: HeldOut, theirs: npt.NDArray[np.float64]) -> Evidence:
        reference = float(theirs.mean())
        try:
            _, bounds = loss_excess(rows.challenger_loss, theirs, 0.95)
        except InvariantError as exc:
            return unmeasured(self.key, LEAP, str(exc), rows.n)
        if not reference:
            return Evidence.of(self.key, 1.0, rows.n, subject=LEAP, interval=(1.0, 1.0), reference=0.0)
        ratio = float(rows.challenger_loss.mean()) / reference
        interval = (1 + bounds.low / reference, 1 + bounds.high / reference)
        return Evidence.of(self.key, ratio, rows.n, subject=LEAP, interval=interval, reference=reference)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when nothing is too good."""
        judged = all_of((self._judged(each) for each in evidence), asked=("loss",), found=[e.subject for e in evidence])
        if judged.verdict is not Verdict.PASS:
            return judged
        return Judgement(verdict=Verdict.PASS, reason="nothing is too good to be true")

    def _judged(self, each: Evidence) -> Judgement:
        problem = lacking(each, self.at_least_rows)
        if problem or each.value is None:
            return problem or Judgement(verdict=Verdict.ERROR, reason="nothing measured")
        if each.subject == "loss":
            good, said = each.value < self.loss_at_least, f"a loss of {each.value:.4g} on {each.n} rows is next to none"
        elif each.subject == LEAP:
            high = each.value if each.high is None else each.high
            good = high < 1 - self.better_by
            said = f"the loss is {each.value:.2f} times the champion's on {each.n} rows, clearly a leap"
        else:
            good = each.value > self.column_at_most
            said = f"{each.subject} alone tells the label ({each.value:.3g}, on {each.n} rows)"
            said += f"; more than {self.column_at_most:g} is too good"
        return Judgement(verdict=Verdict.FAIL if good else Verdict.PASS, reason=said)


def _inputs(rows: HeldOut) -> Iterator[pl.Series]:
    """Yield what the candidate's model is asked about, but for vectors; of nobody to ask, the columns of the rows."""
    if rows.candidate is None:
        yield from (each for each in rows.table if not each.name.startswith("_") and not each.dtype.is_nested())
        return
    features = rows.candidate.manifest.columns.features
    vectors = {each.name for each in features if each.kind is ColumnKind.VECTOR}
    for each in rows.candidate.inputs(rows.table):
        if each.name.rpartition(".")[0] not in vectors and not each.dtype.is_nested():
            yield each


def _tells(rows: HeldOut, values: pl.Series) -> float | None:
    """Return how well values tell the label; None where nothing can be said."""
    found = [_levels_tell(rows, values), _numbers_tell(rows, values) if values.dtype.is_numeric() else None]
    return max((each for each in found if each is not None), default=None)


def _numbers_tell(rows: HeldOut, values: pl.Series) -> float | None:
    numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if not rows.task.classifies:
        known = np.isfinite(numbers) & np.isfinite(rows.label)
        if known.sum() < 3 or np.ptp(numbers[known]) == 0 or np.ptp(rows.label[known]) == 0:
            return None
        return float(abs(np.corrcoef(_ranks(numbers[known]), _ranks(rows.label[known]))[0, 1]))
    # A missing value tells, too: it stands below all others.
    ranks = _ranks(np.where(np.isfinite(numbers), numbers, -np.inf))
    areas = []
    for label in np.unique(rows.label):
        up = rows.label == label
        m, n = int(up.sum()), int((~up).sum())
        if min(m, n) >= _OF_A_CLASS:
            area = (float(ranks[up].sum()) - m * (m + 1) / 2) / (m * n)
            areas.append(max(area, 1 - area))
    # Every class has to be told from the rest: one class that a column singles out is no leak of the others.
    return min(areas, default=None)


def _levels_tell(rows: HeldOut, values: pl.Series) -> float | None:
    if values.n_unique() * 5 > rows.n or not rows.task.classifies:
        return None  # levels that are met hardly more than once say nothing
    text = values.cast(pl.String).fill_null("(missing)")
    labels = rows.label.astype(str)
    most = int(np.unique(labels, return_counts=True)[1].max())
    if rows.n - most < _OF_A_CLASS:
        return None
    commonest = most / rows.n
    frame = pl.DataFrame({"level": text, "label": pl.Series(labels)})
    counts = frame.group_by("level", "label").len().group_by("level").agg(pl.col("len").max())
    told = float(counts.get_column("len").sum()) / rows.n
    # As good as a constant is 0.5, as on the scale of the other columns.
    return 0.5 + (told - commonest) / (1 - commonest) / 2


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ranks from 1, those of equals their mean."""
    return pl.Series(values).rank().to_numpy()
