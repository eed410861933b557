"""Gate: the candidate's answers keep the rules of the business."""

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.stats.condition import as_answered, broken, check_condition
from anew.stats.interval import wilson_interval
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, at_most, unmeasured

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Count the answers that break a rule.

    Parameters
    ----------
    keep
        Conditions in SQL over the features and ``prediction``, as callers are answered it (classes that are declared as
        numbers are numbers); none given: those of the project's ``rule`` triggers.
    at_most
        Share of rows that may break each rule.
    at_least_rows
        Rows needed on which a rule is true or false; one on which it is null says nothing.

    Notes
    -----
    No statistics: on these rows a rule is kept or not. That none of them breaks it does not say that none ever will:
    the triggers and the guardrails go on watching. Do not write a rule for what may happen now and then; write an
    objective.

    Examples
    --------
    >>> import numpy as np
    >>> from anew.domain.column import Task
    >>> said = np.linspace(-1, 9, 100)
    >>> rows = HeldOut(task=Task.REGRESSION, label=said, challenger=said, challenger_loss=np.zeros(100),
    ...                table=pl.DataFrame({"capacity": [8.0] * 100}))
    >>> gate = Rules(keep=("prediction >= 0", "prediction <= capacity + 1"))
    >>> gate.judge(gate.measure(rows)).reason
    'prediction >= 0 broken 0.1 on 100 rows, at most 0'
    """

    needs_champion: ClassVar[bool] = False

    keep: tuple[str, ...]
    at_most: float = 0.0
    at_least_rows: int = 50

    def __post_init__(self) -> None:
        if not self.keep:
            raise InvariantError("rules: none is given and no trigger of the project is a rule, so nothing is checked")
        if not (0 <= self.at_most < 1 and self.at_least_rows > 0):
            raise InvariantError(f"{self} is no gate: at_most is a share in [0, 1), at_least_rows counts")
        for each in self.keep:
            check_condition(each)

    @property
    def key(self) -> str:
        """``rules``."""
        return "rules"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the share of answers that break each rule."""
        said = pl.Series(rows.challenger, dtype=pl.String if rows.task.classifies else pl.Float64)
        answered = rows.table.with_columns(_output=as_answered(said, numbered=rows.numbered))
        return tuple(self._measure(keep, answered) for keep in self.keep)

    def _measure(self, keep: str, answered: pl.DataFrame) -> Evidence:
        try:
            found = broken(keep, answered)
        except pl.exceptions.PolarsError as exc:
            return unmeasured(self.key, f"{keep} broken", f"it could not be read: {exc}", self.at_least_rows)
        count, n = int(found.sum()), found.count()
        if not n:
            problem = f"it is null on all {answered.height} rows" if answered.height else "no rows"
            return unmeasured(self.key, f"{keep} broken", problem)
        share = count / n
        # Whoever tolerates nothing is told of every row; otherwise only what is clearly too much fails.
        interval = wilson_interval(count, n) if self.at_most else None
        return Evidence.of(self.key, share, n, subject=f"{keep} broken", interval=interval)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when every rule is kept."""
        asked = [f"{keep} broken" for keep in self.keep]
        found = [each.subject for each in evidence]
        return all_of((at_most(each, self.at_most, self.at_least_rows) for each in evidence), asked=asked, found=found)
