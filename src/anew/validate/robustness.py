"""Gate: missing and extreme values neither break the candidate nor turn its answers over."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence, failure
from anew.domain.verdict import Verdict
from anew.stats.interval import mean_interval
from anew.validate._gate import Examinee, HeldOut, Judgement
from anew.validate._limit import all_of, at_most, unmeasured

__all__ = ["Robustness"]

_FAR = 1e6
_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """Ask the candidate about held-out rows with one column at a time missing, far too small or far too large.

    Parameters
    ----------
    missing_at_most
        Loss over that on the rows as they are that a missing column may cost; None: it need only be answered.
    extreme_at_most
        The same of a column that is a million times its own range off.
    at_least_rows
        Rows needed; at most 500 are asked about, evenly taken.

    Notes
    -----
    An answer that cannot be given, or that is not finite, is a FAIL whatever the limits: live, it would be an error.
    The column that costs most decides. Do not limit the cost where one column carries the answer, as yesterday's value
    does in a forecast: without it nobody can answer well.

    Examples
    --------
    >>> from anew.domain.column import Column, ColumnKind, Columns, Task
    >>> from anew.domain.manifest import Manifest
    >>> from anew.validate._gate import Answers
    >>> columns = Columns(time="at", target="y", features=(Column(name="x", kind=ColumnKind.NUMBER),),
    ...                   task=Task.REGRESSION)
    >>> manifest = Manifest(format="", model_file="", columns=columns, inputs=("x",), classes=(), rows=1,
    ...                     holdout_rows=0, seed=0, code="", environment="")
    >>> def brittle(rows): return Answers(1 / rows["x"].fill_null(0.0).to_numpy(), None)
    >>> x = np.linspace(1, 2, 100)
    >>> with np.errstate(divide="ignore"):
    ...     rows = HeldOut(task=Task.REGRESSION, label=1 / x, challenger=1 / x, challenger_loss=0 * x,
    ...         table=pl.DataFrame({"x": x}),
    ...         candidate=Examinee(manifest=manifest, answer=brittle, online=brittle, inputs=lambda rows: rows))
    ...     print(Robustness().judge(Robustness().measure(rows)).reason.split(";")[0])
    x missing: 100 of 100 answers are not finite
    """

    needs_champion: ClassVar[bool] = False

    missing_at_most: float | None = None
    extreme_at_most: float | None = None
    at_least_rows: int = 50

    def __post_init__(self) -> None:
        limits = (self.missing_at_most, self.extreme_at_most)
        if self.at_least_rows < 2 or not all(each is None or 0 <= each < 1 for each in limits):
            raise InvariantError(f"{self} is no gate: limits lie in [0, 1), at least 2 rows")

    @property
    def key(self) -> str:
        """``robustness``."""
        return "robustness"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure what each change of each column costs."""
        if rows.candidate is None:
            return (unmeasured(self.key, "", "there is nobody to ask", self.at_least_rows),)
        if rows.n < self.at_least_rows:
            return (unmeasured(self.key, "", f"{rows.n} rows, {self.at_least_rows} are needed", rows.n),)
        some = rows.at(np.arange(0, rows.n, -(-rows.n // _ROWS)))
        return tuple(self._measure(some, rows.candidate, name, changed) for name, changed in _changes(some))

    def _measure(self, rows: HeldOut, candidate: Examinee, name: str, changed: pl.DataFrame) -> Evidence:
        try:
            said = candidate.answer(changed).output
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - the user's code may raise anything
            return Evidence.of(self.key, 1.0, rows.n, subject=f"{name}: no answer: {failure(exc)}", reference=_BROKEN)
        if not rows.task.classifies and not np.isfinite(said).all():
            bad = int((~np.isfinite(said)).sum())
            subject = f"{name}: {bad} of {rows.n} answers are not finite"
            return Evidence.of(self.key, bad / rows.n, rows.n, subject=subject, reference=_BROKEN)
        cost = rows.lost(said) - rows.challenger_loss
        mean = float(cost.mean())
        return Evidence.of(
            self.key, mean, rows.n, subject=name, interval=mean_interval(rows.n, mean, float(cost.var(ddof=1)))
        )

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """FAIL when an answer is missing or clearly costs too much; PASS when all were given."""
        return all_of(map(self._judged, evidence))

    def _judged(self, each: Evidence) -> Judgement:
        if each.measured and each.reference == _BROKEN:
            return Judgement(verdict=Verdict.FAIL, reason=each.subject)
        limit = self.missing_at_most if each.subject.endswith(_MISSING) else self.extreme_at_most
        return at_most(each, 1.0 if limit is None else limit, self.at_least_rows)


_BROKEN = -1.0
"""Stands where the reference would, in evidence of answers that could not be given."""
_MISSING = " missing"


def _changes(rows: HeldOut) -> Iterator[tuple[str, pl.DataFrame]]:
    assert rows.candidate is not None, "asked before"  # noqa: S101  an invariant of ours
    for column in rows.candidate.manifest.columns.features:
        values = rows.table.get_column(column.name)
        nothing = pl.Series(column.name, [None], dtype=values.dtype).new_from_index(0, rows.n)
        yield f"{column.name}{_MISSING}", rows.table.with_columns(nothing)
        if not values.dtype.is_numeric():
            strange = pl.Series(column.name, ["a category that nobody has seen"]).new_from_index(0, rows.n)
            yield f"{column.name} unseen", rows.table.with_columns(strange)
            continue
        known = values.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        far = _FAR * (high - low or 1.0)
        for name, value in (("far too small", low - far), ("far too large", high + far)):
            yield f"{column.name} {name}", rows.table.with_columns(pl.lit(value).alias(column.name))
