"""Gate: no slice of the held-out rows gets a clearly worse model than it had."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.interval import mean_interval
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, at_most, is_too_small, naming, too_small, unmeasured
from anew.validate._paired import judge_excess, loss_excess

__all__ = ["Slices"]

_QUARTERS = 4
_NO_SLICE = "no slice"
_LOSS = "loss of "
_LONGEST, _HANDFUL = 60, 5
_NAMED = 10
"""Slices too small to be judged that are named at the most; of the others it is said how many they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Compare candidate and champion on every value of some columns; numbers are cut at their quartiles.

    Parameters
    ----------
    by
        Feature or sensitive columns.
    margin
        Excess of the bounded loss over the champion's that is tolerated on a slice.
    at_most
        Loss that a slice may have in absolute terms; None for any. A first champion is held to this alone. FAIL when
        clearly above, INCONCLUSIVE when above, not clearly.
    at_least_rows
        Rows that a slice needs to be compared; smaller ones are left out and named.
    confidence
        Of all slices together: with k of them each interval has ``1 - (1 - confidence) / k`` (Bonferroni), so that a
        candidate which is as good everywhere is refused with a chance of ``(1 - confidence) / 2`` at most.

    Notes
    -----
    When no slice is large enough, the gate is INCONCLUSIVE. Do not slice by many columns at once: each slice takes from
    the power of all others.

    Examples
    --------
    >>> from anew.domain.column import Task
    >>> label = np.array(["1"] * 600)
    >>> country = np.array(["DE", "FR", "IT"] * 200)
    >>> worse = (country == "IT") & (np.arange(600) % 2 == 0)
    >>> rows = HeldOut(task=Task.BINARY, label=label, challenger=label, challenger_loss=worse.astype(float),
    ...                champion=label, champion_loss=np.zeros(600), table=pl.DataFrame({"country": country}))
    >>> gate = Slices(by=("country",))
    >>> print(gate.judge(gate.measure(rows)).reason.split(" (")[0])
    country = IT: excess +0.5000
    """

    needs_champion: ClassVar[bool] = False
    partial: ClassVar[bool] = True

    by: tuple[str, ...]
    margin: float = 0.02
    at_most: float | None = None
    at_least_rows: int = 50
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not self.by:
            raise InvariantError("slices by no column; name one or more in `by`")
        if not (0 <= self.margin < 1 and 0 < self.confidence < 1 and self.at_least_rows > 1):
            raise InvariantError(f"{self} is no gate: margin in [0, 1), confidence in (0, 1), at least 2 rows")
        if self.at_most is not None and not 0 < self.at_most < 1:
            raise InvariantError(f"slices: at_most is {self.at_most}; losses lie in (0, 1)")

    @property
    def key(self) -> str:
        """``slices``."""
        return "slices"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the excess on each slice, and its loss where that is limited."""
        missing = [name for name in self.by if name not in rows.table.columns]
        if missing:
            return (unmeasured(self.key, ", ".join(missing), "the rows have no such column", self.at_least_rows),)
        slices: list[tuple[str, npt.NDArray[np.bool_]]] = []
        small: dict[str, int] = {}
        for name, marked in self._slices(rows.table):
            n = int(marked.sum())
            if n >= self.at_least_rows:
                slices.append((name, marked))
            elif n:
                small[name] = small.get(name, 0) + n
        left_out = [*self._left_out(small)]
        if not slices:
            return (unmeasured(self.key, _NO_SLICE, f"none has {self.at_least_rows} rows", rows.n), *left_out)
        looks = len(slices) * ((rows.champion_loss is not None) + (self.at_most is not None))
        level = 1 - (1 - self.confidence) / max(looks, 1)
        found = [each for name, marked in slices for each in self._measure(name, rows.at(marked), level)]
        if not found:
            return (unmeasured(self.key, _NO_SLICE, "no champion, and no limit in absolute terms", rows.n),)
        return (*found, *left_out)

    def _left_out(self, small: Mapping[str, int]) -> Iterator[Evidence]:
        """Name the largest of those that are too small, by their rows, and say how many the others are.

        Of a handful of rows no value is named: they may be a single person's, or what a caller has made up.
        """
        by_size = sorted(small.items(), key=lambda each: -each[1])
        named = [(name, n) for name, n in by_size[:_NAMED] if n >= _HANDFUL]
        for name, n in named:
            yield too_small(self.key, name, n, f"{n} rows, {self.at_least_rows} are needed")
        rest = by_size[len(named) :]
        if rest:
            yield too_small(
                self.key, f"{len(rest)} more", sum(n for _, n in rest), f"{rest[0][1]} rows at the most each"
            )

    def _slices(self, table: pl.DataFrame) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        for column in self.by:
            values = table.get_column(column)
            if values.dtype.is_float() and values.n_unique() > _QUARTERS:
                yield from _quarters(column, values.to_numpy())
                continue
            text = values.cast(pl.String).fill_null("(missing)")
            for value in text.unique(maintain_order=True).to_list():
                yield f"{column} = {_written(value)}", (text == value).to_numpy()

    def _measure(self, name: str, rows: HeldOut, level: float) -> Iterator[Evidence]:
        try:
            if rows.champion_loss is not None:
                excess, bounds = loss_excess(rows.challenger_loss, rows.champion_loss, level)
                yield self._evidence(name, excess, rows.n, bounds, level, float(rows.champion_loss.mean()))
            if self.at_most is not None:
                loss = rows.challenger_loss
                bounds = mean_interval(rows.n, float(loss.mean()), float(loss.var(ddof=1)), level)
                yield self._evidence(f"{_LOSS}{name}", float(loss.mean()), rows.n, bounds, level, None)
        except InvariantError as exc:
            yield unmeasured(self.key, name, str(exc), rows.n)

    def _evidence(
        self, name: str, value: float, n: int, bounds: tuple[float, float], level: float, reference: float | None
    ) -> Evidence:
        return Evidence.of(self.key, value, n, subject=name, interval=bounds, confidence=level, reference=reference)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """FAIL when any slice is clearly worse; PASS when slices were measured, and none is, nor above `at_most`."""
        if not evidence or evidence[0].subject == _NO_SLICE:
            why = evidence[0].problem if evidence else "nothing measured"
            return naming(Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"no slice: {why}"), evidence)
        asked = [each for each in evidence if not is_too_small(each)]
        said = all_of(map(self._judged, asked))
        return naming(said if said.verdict is not Verdict.PASS else self._passed(asked), evidence)

    def _passed(self, evidence: Sequence[Evidence]) -> Judgement:
        """Say of slices that all pass which is the worst, by its excess and by its loss."""
        losses = [each for each in evidence if each.subject.startswith(_LOSS)]
        excesses = [each for each in evidence if not each.subject.startswith(_LOSS)]
        worst = [max(each, key=lambda one: one.value or 0.0) for each in (excesses, losses) if each]
        said, count = "; ".join(self._judged(each).reason for each in worst), len(excesses or losses)
        return Judgement(verdict=Verdict.PASS, reason=f"{count} slice{'s' * (count != 1)}, the worst {said}")

    def _judged(self, each: Evidence) -> Judgement:
        if each.subject.startswith(_LOSS) and self.at_most is not None:
            return at_most(each, self.at_most, self.at_least_rows)
        return judge_excess(each, margin=self.margin, at_least_rows=self.at_least_rows, at_most_width=2.0)


def _written(value: str) -> str:
    """Return a value of a caller's as it may stand in a reason: short, and on one line."""
    shown = value if value.isprintable() else repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _quarters(column: str, values: npt.NDArray[np.float64]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    known = np.isfinite(values)
    if known.any():
        cuts = np.unique(np.quantile(values[known], [0.25, 0.5, 0.75]))
        number = np.searchsorted(cuts, values, side="left")
        ends = ["", *(f"{cut:.4g}" for cut in cuts), ""]
        for quarter in range(len(cuts) + 1):
            yield f"{column} in ({ends[quarter]}, {ends[quarter + 1]}]", known & (number == quarter)
    yield f"{column} missing", ~known
