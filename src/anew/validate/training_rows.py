"""Gate: the rows that the candidate was trained on tell the same story as those that were held out."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.inertia import number_inertia, resemblance, telling_rows
from anew.stats.interval import mean_interval
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, lacking, unmeasured

__all__ = ["TrainingRows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """Refuse a candidate whose newest training rows are clearly harder to answer than the held-out rows after them.

    The champion is asked about as many of the newest rows trained on as were held out, and about four times as many. It
    is the older one: of those rows some are what it was trained on itself and knows, and all are nearer to its own time
    than the held-out ones. When it loses clearly more on them all the same, then they are not what the world says:
    labels were permuted, shifted or turned over, or columns that it rests on were. The candidate is no witness of this,
    since it may have learned the damage by heart; a first champion, which has nobody beside it, is asked itself.
    Against a candidate that loses less than it on the held-out rows the champion's word alone does not count: a
    champion that was itself trained on damaged rows finds right ones hard, and would refuse whoever could take its
    place.

    Column by column, and for the labels, it is measured how much rows resemble the row before them. Where held-out rows
    clearly do and training rows clearly do less than half as much, the column was joined to the wrong rows.

    Parameters
    ----------
    margin
        Loss on the training rows over that on the held-out rows that is tolerated.
    at_least_rows
        Rows needed on each side.
    confidence
        Of the comparisons of losses together.

    Notes
    -----
    One-sided by intent: held-out rows that are harder than training rows are what drift looks like. A hard time that is
    over looks like damage: a candidate which learned from it is refused, until newer rows have come. Columns that are
    constant on a side say nothing of order, nor do those of rows without any. Damage that keeps the order and the
    difficulty of rows is not seen here, nor is damage to the held-out rows, nor labels that are easier to guess than
    they should be (see `leakage`). Do not use it where training rows are drawn or sorted instead of coming in time
    order.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from anew.domain.column import Task
    >>> label, answers = np.array(["0", "1"] * 200), np.array(["0", "1"] * 200)
    >>> fresh = HeldOut(task=Task.BINARY, label=label, challenger=answers, challenger_loss=np.zeros(400))
    >>> permuted = replace(fresh, challenger_loss=(np.arange(400) % 4 == 0).astype(float))
    >>> gate = TrainingRows()
    >>> gate.judge(gate.measure(replace(fresh, trained=lambda n: permuted))).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = False
    partial: ClassVar[bool] = True

    margin: float = 0.02
    at_least_rows: int = 50
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (0 <= self.margin < 1 and 0 < self.confidence < 1 and self.at_least_rows > 1):
            raise InvariantError(f"{self} is no gate: margin in [0, 1), confidence in (0, 1), at least 2 rows")

    @property
    def key(self) -> str:
        """``training_rows``."""
        return "training_rows"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure what the training rows cost over the held-out ones; `reference` is the loss on the held-out ones."""
        if rows.trained is None:
            return (unmeasured(self.key, "candidate", "the rows trained on are not at hand", self.at_least_rows),)
        trained = rows.trained(rows.n)
        n = min(rows.n, trained.n)
        if n < self.at_least_rows:
            return (unmeasured(self.key, "candidate", f"{n} rows, {self.at_least_rows} are needed", n),)
        level = 1 - (1 - self.confidence) / _LOOKS
        found = [self._excess(_CANDIDATE, trained.challenger_loss, rows.challenger_loss, level)]
        if trained.champion_loss is not None and rows.champion_loss is not None:
            found.append(self._excess(_CHAMPION, trained.champion_loss, rows.champion_loss, level))
            further = min(_FURTHER * rows.n, rows.training.height)
            before = rows.trained(further).champion_loss if further > trained.n else None
            if before is not None:
                found.append(self._excess(f"{_CHAMPION}{_BACK}", before, rows.champion_loss, level))
        columns = [name for name in rows.table.columns if name == "_label" or not name.startswith("_")]
        ordered = (self._order(name, trained.table, rows.table) for name in columns)
        return (*found, *(each for each in ordered if each is not None))

    def _excess(
        self, who: str, trained: npt.NDArray[np.float64], fresh: npt.NDArray[np.float64], level: float
    ) -> Evidence:
        n = len(trained)
        if not (np.isfinite(trained).all() and np.isfinite(fresh).all()):
            return unmeasured(self.key, who, "losses that are not finite", n)
        mean, interval = _difference(trained, fresh, level)
        return Evidence.of(
            self.key, mean, n, subject=who, reference=float(fresh.mean()), interval=interval, confidence=level
        )

    def _order(self, name: str, trained: pl.DataFrame, fresh: pl.DataFrame) -> Evidence | None:
        """Measure how much training rows resemble the row before them; None where held-out rows come in no order."""
        held = _values(fresh.get_column(name))
        there, n = resemblance(held), telling_rows(held)
        if not n or not there - _noise(n) > _STRONG:  # of a constant it is NaN
            return None
        learned = _values(trained.get_column(name))
        here, n = resemblance(learned), min(n, telling_rows(learned))
        if not n or math.isnan(here):
            return None
        return Evidence.of(self.key, here, n, subject=f"{_ORDER}{name}", reference=there)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """FAIL when the champion finds the training rows clearly harder, or a column has lost its order."""
        asked = [each for each in evidence if not each.subject.startswith(_ORDER)]
        columns = [each for each in evidence if each.subject.startswith(_ORDER)]
        fresh = {each.subject: each.reference for each in asked if each.reference is not None}
        ours, theirs = fresh.get(_CANDIDATE), fresh.get(_CHAMPION)
        # A damaged champion finds right rows hard: it is no witness against who does better where neither has learned.
        excused = {_CANDIDATE} if theirs is not None else set()
        hard = any(e.subject == _CANDIDATE and self._judged(e).verdict is Verdict.FAIL for e in asked)
        if ours is not None and theirs is not None and ours < theirs and not hard:
            excused |= {_CHAMPION, f"{_CHAMPION}{_BACK}"}
        judged = [
            # What the candidate alone finds hard is what it has not learned well: other gates judge that.
            Judgement(verdict=Verdict.PASS, reason=found.reason)
            if each.subject in excused and found.verdict is Verdict.FAIL
            else found
            for each in asked
            for found in (self._judged(each),)
        ]
        named = [each.subject for each in asked]
        return all_of([*judged, *(_judged_order(each) for each in columns)], asked=(_CANDIDATE,), found=named)

    def _judged(self, each: Evidence) -> Judgement:
        problem = lacking(each, self.at_least_rows)
        if problem:
            return problem
        if each.value is None or each.low is None or each.high is None:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"{each.subject}: no interval was measured")
        found = (
            f"the {each.subject.removesuffix(_BACK)} loses {each.value:+.4f} ({each.low:+.4f} to {each.high:+.4f}) "
            f"more on the newest {each.n} rows trained on than on those held out"
        )
        if each.low > self.margin:
            return Judgement(verdict=Verdict.FAIL, reason=f"{found}: these rows were damaged")
        return Judgement(verdict=Verdict.PASS, reason=found)


_CANDIDATE, _CHAMPION, _BACK = "candidate", "champion", ", further back"
_LOOKS = 3
_FURTHER = 4
"""Times the held-out rows that the champion is asked about: what lies further back may be rehearsed, and of a time that
the champion has rightly forgotten."""
_ORDER = "order of "
_CLEARLY = 3.0
"""Standard deviations of a correlation of independent rows, 1 / sqrt(n), that count as clear: one column in 700."""


_STRONG = 0.5
"""Resemblance from which rows clearly come in an order; below, a shift within the rows may be all of it."""


def _values(column: pl.Series) -> npt.NDArray[np.generic]:
    if column.dtype.is_nested():  # vectors lose their order together: their mean tells it as well as each number
        column = column.cast(pl.List(pl.Float64)).list.mean()
    return column.to_numpy() if column.dtype.is_numeric() else column.cast(pl.String).fill_null("").to_numpy()


def _noise(n: int) -> float:
    return _CLEARLY / math.sqrt(n)


def _judged_order(each: Evidence) -> Judgement:
    here, there = each.value or 0.0, each.reference or 0.0
    noise = _noise(each.n)
    found = (
        f"{each.subject}: resemblance to the row before {here:.2f} on rows trained on, {there:.2f} on those held out"
    )
    if there - noise > _STRONG and here + noise < (there - noise) / 2:
        return Judgement(verdict=Verdict.FAIL, reason=f"{found}: joined to the wrong rows")
    return Judgement(verdict=Verdict.PASS, reason=found)


def _difference(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], level: float
) -> tuple[float, tuple[float, float]]:
    """Return the difference of two means with its interval; rows that resemble each other count as fewer."""
    variance, rows = 0.0, 0.0
    for each in (one, other):
        independent = len(each) / min(number_inertia(each), len(each) / 2)
        variance += float(each.var(ddof=1)) / independent
        rows += independent
    mean = float(one.mean() - other.mean())
    low, high = mean_interval(rows, mean, variance * rows, level)
    return mean, (low, high)
