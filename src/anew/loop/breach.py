"""A challenger's answers that break a rule of the project: a limit that needs no labels, looked at every second."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from anew.domain.evidence import Evidence
from anew.monitor.rule import Rule

__all__ = ["Breaches", "RuleLimit", "answers_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLimit:
    """The rules, and the share of a challenger's answers in [0, 1) that may break any one of them.

    Attributes
    ----------
    numbered
        Are answers numbers? See `Columns.numbered`.
    steps
        Does a challenger in shadow take steps, for which labels are looked at? Blue-green asks none.
    """

    rules: Sequence[Rule]
    at_most: float
    numbered: bool = False
    steps: bool = True


@dataclass(slots=True)
class Breaches:
    """What one challenger's answers have broken since its rollout began.

    Shares are of all answers; `known` are those on which a rule is true or false: where it is null, nobody knows.
    """

    limit: RuleLimit
    asked: int = 0
    known: dict[str, int] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    unread: Evidence | None = None

    def add(self, rows: pl.DataFrame) -> Evidence | None:
        """Count new answers, features and ``_output``; return the rule that is broken too often, None for none.

        A rule that cannot be read on some rows is one that nobody can say is kept, nor that it is broken: where none is
        broken too often, it is returned, then and ever after, as evidence of nothing with the problem.
        """
        self.asked += rows.height
        found = None
        for rule in self.limit.rules:
            count = known = 0
            try:
                if rows.height:
                    each = rule.broken(rows, numbered=self.limit.numbered)
                    count, known = int(each.sum()), each.count()
            except pl.exceptions.PolarsError as exc:
                why = str(exc).partition("\n")[0]
                problem = f"it could not be read on {rows.height} answers: {why}"
                self.unread = self.unread or Evidence.of(rule.key, None, rows.height, problem=problem)
            self.broken[rule.key] = self.broken.get(rule.key, 0) + count
            self.known[rule.key] = self.known.get(rule.key, 0) + known
            share = self.broken[rule.key] / self.asked if self.asked else 0.0
            if found is None and share > self.limit.at_most:
                found = Evidence.of(rule.key, share, self.asked, reference=self.limit.at_most)
        return found or self.unread

    @property
    def silent(self) -> str:
        """Key of a rule that is null on all answers so far; empty where each rule says something."""
        return next((key for key, n in self.known.items() if self.asked and not n), "")


def answers_of(rows: pl.DataFrame, version: str) -> pl.DataFrame:
    """Return those of `rows` that `version` answered, to a caller or in shadow, with what it said as ``_output``."""
    said = (
        pl.when(pl.col("_version") == version)
        .then(pl.col("_output"))
        .when((pl.col("_shadow_version") == version) & pl.col("_shadow_output").is_not_null())
        .then(pl.col("_shadow_output"))
    )
    return rows.with_columns(_output=said).filter(pl.col("_output").is_not_null())
