"""A business rule that every answered row has to keep."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.condition import as_answered, broken, check_condition, names_in

__all__ = ["Rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Alert at once when a row breaks a rule.

    Parameters
    ----------
    keep
        What every row must keep: a condition in SQL over the declared features and ``prediction``, e.g.
        ``prediction >= 0`` or ``prediction <= capacity``. A row for which it is null does not break it and is not
        counted; where it is null on all rows, nothing is measured. The prediction is what callers are answered: of
        classes that are declared as numbers a number, of others text.
    data
        ``corrected``: the retrain that follows is trained on history in which every row keeps the rule, read with the
        label in the prediction's place (rows are repaired by the pipeline's ``correct``, or left out).
    at_most
        Broken rows that are tolerated in one look.

    Notes
    -----
    No statistics: a rule is broken or it is not. Use an SLO for what may happen now and then.
    """

    labels: ClassVar[bool] = False
    at_once: ClassVar[bool] = True

    keep: str
    data: Literal["as_is", "corrected"] = "as_is"
    at_most: int = 0

    def __post_init__(self) -> None:
        if self.at_most < 0:
            raise InvariantError(f"rule {self.keep!r}: at_most is {self.at_most}; it counts rows")
        check_condition(self.keep)

    @property
    def key(self) -> str:
        """``rule(condition)``."""
        return f"rule({self.keep})"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that the condition reads."""
        return names_in(self.keep)

    def broken(self, rows: pl.DataFrame, *, numbered: bool = False) -> pl.Series:
        """Return which of `rows` break the rule, null where nobody knows, as long as they are; raises PolarsError.

        Where they have no column ``prediction``, it is ``_output``, as `as_answered` returns that.
        """
        if "prediction" not in rows.columns:
            rows = rows.with_columns(prediction=as_answered(rows.get_column("_output"), numbered=numbered))
        return broken(self.keep, rows)

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Count the rows that break the rule, of those on which it is true or false."""
        try:
            found = self.broken(seen.rows, numbered=seen.numbered)
        except pl.exceptions.PolarsError as exc:
            return (Evidence.of(self.key, None, seen.n, problem=f"the rule could not be read on these rows: {exc}"),)
        if seen.n and not found.count():
            return (Evidence.of(self.key, None, 0, problem=f"the rule is null on all {seen.n} rows"),)
        return (Evidence.of(self.key, float(found.sum()), found.count()),)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: a rule needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a breach when more rows than tolerated break the rule; always HIGH."""
        for each in evidence:
            if each.measured and each.value is not None and each.value > self.at_most:
                return Finding(
                    severity=Severity.HIGH,
                    message=f"{each.value:.0f} of {each.n} rows break the rule {self.keep}",
                    evidence=(each,),
                )
        return None
