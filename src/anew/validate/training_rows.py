"""Gate: the rows that the candidate was trained on tell the same story as those that were held out."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.inertia import number_inertia, resemblance
from anew.stats.interval import mean_interval
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, lacking, unmeasured

__all__ = ["TrainingRows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """Refuse a candidate whose newest training rows are clearly harder to answer than the held-out rows after them.

    Both the candidate and the champion are asked about as many of the newest rows trained on as were held out. A model
    knows the rows it was trained on: when it loses clearly more on them than on rows that it never saw, what it learned
    from was not what the world says. When the champion does so, too, a feature or the labels of the training rows
    were damaged on their way: permuted, shifted, joined to the wrong rows.

    Column by column, and for the labels, it is measured how much rows resemble the row before them. Where held-out rows
    do and training rows clearly do less than half as much, the column was joined to the wrong rows.

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
    One-sided by intent: held-out rows that are harder than training rows are what drift looks like. A world that has
    just become easier is refused until the easy rows have reached training: a delay of one hold-out. Do not use it
    where the difficulty of rows follows the clock with a period longer than the hold-out. Damage to the held-out rows,
    too, is not seen here, nor is one that makes labels easier to guess (see `leakage`).

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

    margin: float = 0.02
    at_least_rows: int = 100
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
        level = 1 - (1 - self.confidence) / 2
        found = [self._excess("candidate", trained.challenger_loss, rows.challenger_loss, level)]
        if trained.champion_loss is not None and rows.champion_loss is not None:
            found.append(self._excess("champion", trained.champion_loss, rows.champion_loss, level))
        columns = [name for name in rows.table.columns if name == "_label" or not name.startswith("_")]
        return (*found, *(self._order(name, trained.table, rows.table) for name in columns))

    def _excess(
        self, who: str, trained: npt.NDArray[np.float64], fresh: npt.NDArray[np.float64], level: float
    ) -> Evidence:
        n = min(len(trained), len(fresh))
        if not (np.isfinite(trained).all() and np.isfinite(fresh).all()):
            return unmeasured(self.key, who, "losses that are not finite", n)
        mean, interval = _difference(trained, fresh, level)
        return Evidence.of(
            self.key, mean, n, subject=who, reference=float(fresh.mean()), interval=interval, confidence=level
        )

    def _order(self, name: str, trained: pl.DataFrame, fresh: pl.DataFrame) -> Evidence:
        """Measure how much training rows resemble the row before them; the held-out rows' resemblance is reference."""
        here, there = (resemblance(_values(each.get_column(name))) for each in (trained, fresh))
        n = min(trained.height, fresh.height)
        return Evidence.of(self.key, here, n, subject=f"{_ORDER}{name}", reference=there)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """FAIL when either finds the training rows clearly harder."""
        return all_of(map(self._judged, evidence))

    def _judged(self, each: Evidence) -> Judgement:
        problem = lacking(each, self.at_least_rows)
        if problem:
            return problem
        if each.subject.startswith(_ORDER):
            return _judged_order(each)
        if each.value is None or each.low is None or each.high is None:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"{each.subject}: no interval was measured")
        found = (
            f"the {each.subject} loses {each.value:+.4f} ({each.low:+.4f} to {each.high:+.4f}) more on the newest "
            f"{each.n} rows trained on than on those held out"
        )
        if each.low > self.margin:
            return Judgement(verdict=Verdict.FAIL, reason=f"{found}: these rows were damaged, or are of another world")
        return Judgement(verdict=Verdict.PASS, reason=found)


_ORDER = "order of "
_CLEARLY = 3.0
"""Standard deviations of a correlation of independent rows, 1 / sqrt(n), that count as clear: one column in 700."""


def _values(column: pl.Series) -> npt.NDArray[np.generic]:
    return column.to_numpy() if column.dtype.is_numeric() else column.cast(pl.String).fill_null("").to_numpy()


def _judged_order(each: Evidence) -> Judgement:
    here, there = each.value or 0.0, each.reference or 0.0
    noise = _CLEARLY / each.n**0.5
    found = (
        f"{each.subject}: resemblance to the row before {here:.2f} on rows trained on, {there:.2f} on those held out"
    )
    if here + noise < (there - noise) / 2:
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
