"""Machinery of the detectors that hold one distance of each column, between the reference and a window, to a limit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.change import measure_change
from anew.stats.column import ColumnProfile
from anew.stats.profile import Profile, Reference

__all__ = ["ColumnDistance", "Compared", "Sized", "change_p"]

Compared = tuple[ColumnProfile, ColumnProfile]
"""One column of the reference and of a window."""
Sized = tuple[float, float]
"""A distance, and the p-value that nothing changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDistance:
    """Alert when a distance of a column exceeds a limit; each kind of distance says which and how it is meant.

    A plain limit does what it says: it is no test, columns that follow the calendar exceed it in every window, and a
    small window lies further off than a large one. The evidence therefore carries the p-value as well, that of the
    distance's own test, where it has one, or of `anew.stats.change`. With `p_below` the p-value decides: then a small
    change of a large window is found too, and of so many columns each has its own chance of a false alarm, since
    nothing is corrected for their number. Where false alarms have to be rare, use `drift`.

    With a `period` (in the file: ``over``) all rows that were answered within it, back from a window's end, are
    compared: where a window has too few. They are read when that window is scored, so once its labels are mature,
    though none is looked at. Periods of neighbouring windows share most of their rows.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    for_levels: ClassVar[bool] = True
    """Is it a distance of categories too?"""
    usual: ClassVar[tuple[float | None, float | None]] = (None, None)
    """`above` and `p_below` where neither is given."""

    above: float | None = None
    p_below: float | None = None
    column: str = ""
    at_least_rows: int = 100
    period: timedelta | None = None

    def __post_init__(self) -> None:
        if self.above is None and self.p_below is None:
            above, p_below = self.usual
            object.__setattr__(self, "above", above)
            object.__setattr__(self, "p_below", p_below)
        limit, most = (self.above, math.inf) if self.p_below is None else (self.p_below, 1.0)
        both = self.above is not None and self.p_below is not None
        if both or limit is None or not 0 < limit < most or self.at_least_rows < 1:
            raise InvariantError(
                f"{self.name}: above {self.above}, p_below {self.p_below}, at_least_rows {self.at_least_rows}; give "
                "one limit, a positive one on the distance or a p-value between 0 and 1, and a positive number of rows"
            )

    @property
    def labels(self) -> bool:
        """Rows of a period come with the scores of a window."""
        return self.period is not None

    @property
    def key(self) -> str:
        """``NAME(column)>limit``, ``NAME>limit`` for any column; ``p<`` for a limit on the p-value; ``over`` which."""
        of = f"{self.name}({self.column})" if self.column else self.name
        over = "" if self.period is None else f" over {self.period / timedelta(hours=1):g}h"
        return (f"{of}>{self.above:g}" if self.p_below is None else f"{of}:p<{self.p_below:g}") + over

    @property
    def over(self) -> timedelta | None:
        """The period; None for one window."""
        return self.period

    def size(self, reference: ColumnProfile, window: ColumnProfile) -> Sized:
        """Return the distance of one column, and its p-value."""
        raise NotImplementedError

    def sizes(self, columns: Sequence[Compared]) -> Sequence[Sized | InvariantError]:
        """Return what `size` says of each column, or why it can't; for distances that are quicker for many at once."""
        found: list[Sized | InvariantError] = []
        for reference, window in columns:
            try:
                found.append(self.size(reference, window))
            except InvariantError as exc:
                found.append(exc)
        return found

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the distance of each watched column, with its p-value."""
        return () if self.labels else self._measured(seen.yardstick.features, seen.n, seen.profile)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure the same of all rows of the period, labelled or not."""
        if not self.labels:
            return ()
        if rows.yardstick is None:
            return (Evidence.of(self.key, None, rows.rows, problem="the version was stored without its features"),)
        reference, answers = rows.yardstick.features, rows.answers
        columns = {name: answers.get_column(name).to_arrow() for name in reference.names} if answers.height else {}
        return self._measured(reference, answers.height, lambda: reference.profile(columns))

    def _measured(self, reference: Reference, n: int, profile: Callable[[], Profile]) -> tuple[Evidence, ...]:
        names = reference.parts(self.column) if self.column else tuple(reference.own.columns)
        problems = {name: self._problem(name, reference.own.columns[name], n) for name in names}
        asked = [name for name in names if problems[name] is None]
        current = profile().columns if asked else {}
        sizes = self.sizes([(reference.own.columns[name], current[name]) for name in asked])
        found = {name: self._evidence(name, size, n) for name, size in zip(asked, sizes, strict=True)}
        for name, problem in problems.items():
            if problem:
                found[name] = Evidence.of(self.key, None, n, subject=name, problem=problem)
        return tuple(found[name] for name in names if name in found)

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift where a measured distance exceeds the limit; HIGH from twice the limit on."""
        over = sorted((each for each in evidence if self._breaks(each)), key=lambda each: -(each.value or 0.0))
        if not over:
            return None
        named = ", ".join(f"{each.subject} {each.value:.3f}{_certainty(each)}" for each in over[:5])
        more = f" and {len(over) - 5} more" if len(over) > 5 else ""
        limit = f"above {self.above:g}" if self.p_below is None else f"with a p-value below {self.p_below:g}"
        large = self.above is not None and (over[0].value or 0.0) > 2 * self.above
        return Finding(
            severity=Severity.HIGH if large else Severity.MEDIUM,
            message=f"{self.title} {limit}: {named}{more}",
            evidence=tuple(over),
        )

    def _breaks(self, each: Evidence) -> bool:
        if not each.measured or each.value is None:
            return False
        if self.p_below is not None:
            return each.p_value is not None and each.p_value < self.p_below
        return each.value > (self.above or math.inf)

    def _problem(self, name: str, base: ColumnProfile, n: int) -> str | None:
        """Return why a column is not measured, empty if nobody asked for it by name; None when it is."""
        if base.kind != "numeric" and not self.for_levels:
            return f"{self.title} is a distance of numbers, and {name} holds levels" if self.column else ""
        return f"{n} rows, {self.at_least_rows} are needed" if n < self.at_least_rows else None

    def _evidence(self, name: str, size: Sized | InvariantError, n: int) -> Evidence:
        if isinstance(size, InvariantError):
            return Evidence.of(self.key, None, n, subject=name, problem=str(size))
        value, p_value = size
        return Evidence.of(self.key, value, n, subject=name, p_value=p_value)


def _certainty(each: Evidence) -> str:
    return "" if each.p_value is None else f" (p {each.p_value:.1g})"


def change_p(reference: ColumnProfile, window: ColumnProfile) -> float:
    """Return the p-value that a column did not change at all, for a distance that has no test of its own.

    Raises
    ------
    InvariantError
        The version was trained on no rows.
    """
    change = measure_change(reference, window)
    if change is None:
        raise InvariantError("the version was trained on no rows")
    return change.p_value
