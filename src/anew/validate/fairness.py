"""Gate: the candidate treats groups no more differently than allowed, nor clearly more so than the champion."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.stats.disparity import Rates, disparity, disparity_excess, rates_of
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, at_most, is_too_small, naming, too_small, unmeasured
from anew.validate._paired import judge_excess

__all__ = ["OVER", "Fairness"]

OVER = ", over the champion"
_AGREE = 1e-9
_NAMED = 10
"""Sizes of groups too small to be compared that are told at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """Limit the largest difference of a rate between two groups of the sensitive columns, single and crossed.

    Parameters
    ----------
    metric
        As fairlearn defines them: ``demographic_parity`` (selection rate), ``equal_opportunity`` (true positive rate),
        ``equalized_odds`` (the larger of the differences of true and false positive rate), each of binary tasks; or
        ``error``, the mean loss, of any task.
    at_most
        Difference that is tolerated in absolute terms. FAIL when clearly above, INCONCLUSIVE when above, not clearly.
    margin
        Difference over the champion's on the same rows that is tolerated; None for any. FAIL when clearly above.
    columns
        Sensitive columns; none named: all that the project declares.
    crossed
        Look at the groups of all columns together, too.
    at_least_rows
        Rows that a group needs in every rate to be compared; of smaller ones it is said how many they are.
    confidence
        Of all groupings together; each interval allows for their number and for that of its pairs of groups
        (Bonferroni).

    Notes
    -----
    It describes how groups are treated on these rows and cannot declare a model fair: which difference matters is a
    question for people. Do not use `demographic_parity` where base rates differ and answers should. INCONCLUSIVE when
    a column does not have two groups that are large enough; where the columns together do not, that is said and no
    more. The values of groups are not: they may be personal. A model that treats all groups alike is refused for the
    limit with a chance of ``1 - confidence`` at most, one whose true difference exceeds the champion's by no more than
    the margin with half of that. Where a second opinion (fairlearn's own value) is at hand and
    differs, the evidence is an ERROR.

    References
    ----------
    Hardt, Price and Srebro (2016), "Equality of opportunity in supervised learning", NeurIPS; fairlearn,
    ``fairlearn.metrics``.

    Examples
    --------
    >>> label = np.array(["0", "1"] * 400)
    >>> sex = np.repeat(["f", "m"], 400)
    >>> said = np.where((sex == "f") & (np.arange(800) % 4 == 1), "0", label)
    >>> rows = HeldOut(task=Task.BINARY, label=label, challenger=said, challenger_loss=(label != said).astype(float),
    ...                positive="1", table=pl.DataFrame({"sex": sex}))
    >>> gate = Fairness(columns=("sex",), metric="equal_opportunity")
    >>> gate.judge(gate.measure(rows)).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = False
    partial: ClassVar[bool] = True

    metric: Literal["demographic_parity", "equal_opportunity", "equalized_odds", "error"] = "equalized_odds"
    at_most: float = 0.1
    margin: float | None = None
    columns: tuple[str, ...] = ()
    crossed: bool = True
    at_least_rows: int = 30
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (0 < self.at_most < 1 and 0 < self.confidence < 1 and self.at_least_rows > 1):
            raise InvariantError(f"{self} is no gate: at_most in (0, 1), confidence in (0, 1), at least 2 rows")
        if self.margin is not None and not 0 <= self.margin < 1:
            raise InvariantError(f"fairness: margin {self.margin} has to lie in [0, 1)")

    @property
    def key(self) -> str:
        """``fairness(metric)``."""
        return f"fairness({self.metric})"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the disparity of each grouping, beside the champion's."""
        if self.metric != "error" and rows.task is not Task.BINARY:
            return (unmeasured(self.key, "", f"{self.metric} is of binary tasks; use `error`", self.at_least_rows),)
        missing = [name for name in self.columns if name not in rows.table.columns]
        if missing or not self.columns:
            problem = f"the rows have no column {', '.join(missing)}" if missing else "no sensitive column is declared"
            return (unmeasured(self.key, "", problem, self.at_least_rows),)
        groupings = list(self._groupings(rows.table))
        level = 1 - (1 - self.confidence) / len(groupings)
        return tuple(each for name, group in groupings for each in self._measure(rows, name, group, level))

    def _groupings(self, table: pl.DataFrame) -> Iterator[tuple[str, npt.NDArray[np.str_]]]:
        text = {name: table.get_column(name).cast(pl.String).fill_null("(missing)") for name in self.columns}
        for name, values in text.items():
            yield name, values.to_numpy().astype(np.str_)
        if self.crossed and len(text) > 1:
            together = pl.DataFrame(text).select(pl.concat_str(pl.all(), separator=" & ")).to_series()
            yield " & ".join(text), together.to_numpy().astype(np.str_)

    def _measure(self, rows: HeldOut, name: str, group: npt.NDArray[np.str_], level: float) -> Iterator[Evidence]:
        large = self._large(rows, group)
        kept = np.isin(group, large)
        if len(large) < 2:
            problem = f"groups with {self.at_least_rows} rows in every rate: {len(large)}, two are needed"
            single = name in self.columns
            yield unmeasured(self.key, name, problem) if single else too_small(self.key, name, len(group), problem)
            return
        yield from self._left_out(name, group[~kept])
        part, names = rows.at(kept), group[kept]
        number = np.searchsorted(large, names)
        ours, theirs = self._rates(part), self._rates_of_champion(part)
        found = disparity(ours, number, len(large), level)
        yield Evidence.of(
            self.key,
            found.value,
            found.n,
            subject=name,
            interval=(found.low, found.high),
            reference=None if theirs is None else disparity(theirs, number, len(large)).value,
            confidence=level,
            problem=self._second_opinion(part, names, found.value),
        )
        if self.margin is not None and theirs is not None:
            over = disparity_excess(ours, theirs, number, len(large), level)
            bounds, subject = (over.low, over.high), f"{name}{OVER}"
            yield Evidence.of(self.key, over.value, over.n, subject=subject, interval=bounds, confidence=level)

    def _left_out(self, name: str, group: npt.NDArray[np.str_]) -> Iterator[Evidence]:
        sizes = sorted(np.unique(group, return_counts=True)[1].tolist(), reverse=True)
        if sizes:
            said = ", ".join(map(str, sizes[:_NAMED])) + (", …" if len(sizes) > _NAMED else "")
            subject = f"{len(sizes)} {'group' if len(sizes) == 1 else 'groups'} of {name}"
            why = f"{said} rows, {self.at_least_rows} are needed in every rate"
            yield too_small(self.key, subject, len(group), why)

    def _rates(self, rows: HeldOut) -> Rates:
        if self.metric == "error":
            return ((np.ones(rows.n, dtype=np.bool_), rows.challenger_loss),)
        return rates_of(self.metric, rows.label == rows.positive, rows.challenger == rows.positive)

    def _rates_of_champion(self, rows: HeldOut) -> Rates | None:
        if rows.champion is None or rows.champion_loss is None:
            return None
        return self._rates(replace(rows, challenger=rows.champion, challenger_loss=rows.champion_loss))

    def _large(self, rows: HeldOut, group: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
        """Return the groups that have enough rows in every rate, sorted."""
        counts = [dict(zip(*np.unique(group[each], return_counts=True), strict=True)) for each, _ in self._rates(rows)]
        enough = [each for each in np.unique(group) if all(n.get(each, 0) >= self.at_least_rows for n in counts)]
        return np.array(enough, dtype=group.dtype)

    def _second_opinion(self, rows: HeldOut, group: npt.NDArray[np.str_], value: float) -> str:
        if rows.disparity is None:
            return ""
        if self.metric == "error":
            said = rows.disparity(self.metric, rows.challenger_loss, rows.challenger_loss, group, "")
        else:
            said = rows.disparity(self.metric, rows.label, rows.challenger, group, rows.positive)
        return "" if abs(said - value) < _AGREE else f"two computations differ: {value:.6g} and {said:.6g}"

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when each column was measured and keeps the limits, as the columns together do if they could be."""
        asked = [each for each in evidence if not is_too_small(each)]
        return naming(all_of(map(self._judged, asked)), evidence)

    def _judged(self, each: Evidence) -> Judgement:
        if each.subject.endswith(OVER) and self.margin is not None:
            return judge_excess(each, margin=self.margin, at_least_rows=self.at_least_rows, at_most_width=2.0)
        return at_most(each, self.at_most, self.at_least_rows)
