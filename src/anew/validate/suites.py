"""Gate: the candidate is not clearly worse than the champion on named benchmark suites."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.stats.business import Aggregate
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, unmeasured
from anew.validate._paired import LOSS, Comparison, judge_excess

__all__ = ["Suites"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suites:
    """Compare paired answers on each suite: a sealed golden set, stress sets, the champion's recorded traffic.

    Parameters
    ----------
    names
        Suites of the project's `suites`.
    metric, better, margin, at_least_rows, at_most_width
        As of `BeatsChampion`.
    confidence
        Of all intervals together: with k suites each has ``1 - (1 - confidence) / k`` (Bonferroni).

    Notes
    -----
    A suite whose file is no longer what was sealed, or that has a row which the candidate was trained on, is an ERROR.
    Do not use a suite that is older than the world: it holds the model to what is no longer so; `forgetting` with a
    wide margin says how much may be forgotten.

    Examples
    --------
    >>> import numpy as np
    >>> from anew.domain.column import Task
    >>> from anew.domain.verdict import Verdict
    >>> label = np.array(["0", "1"] * 200)
    >>> wrong = (np.arange(400) % 5 == 0).astype(float)
    >>> def rows(loss): return HeldOut(task=Task.BINARY, label=label, challenger=label, challenger_loss=loss,
    ...                                champion=label, champion_loss=0 * loss)
    >>> gate = Suites(names=("golden",))
    >>> from dataclasses import replace
    >>> gate.judge(gate.measure(replace(rows(0 * wrong), suites={"golden": lambda: rows(wrong)}))).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = True

    names: tuple[str, ...]
    metric: str = LOSS
    better: Literal["", "higher", "lower"] = ""
    definition: str = ""
    function: Aggregate | None = field(default=None, compare=False, repr=False)
    margin: float = 0.005
    at_least_rows: int = 100
    at_most_width: float = 0.4
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise InvariantError(f"suites {list(self.names)}: name one or more, each once")
        if not (self.margin >= 0 and 0 < self.confidence < 1 and self.at_least_rows > 1 and self.at_most_width > 0):
            raise InvariantError(
                f"{self} is no gate: margin at least 0, confidence in (0, 1), at least 2 rows, a width > 0"
            )
        self.comparison  # noqa: B018  raises what cannot be compared

    @property
    def comparison(self) -> Comparison:
        """What is compared on each."""
        return Comparison(
            metric=self.metric,
            better=self.better,
            definition=self.definition,
            function=self.function,
            at_least_rows=self.at_least_rows,
            confidence=1 - (1 - self.confidence) / len(self.names),
        )

    @property
    def key(self) -> str:
        """``suites``, with the metric in brackets where it is not the loss."""
        return "suites" if self.metric == LOSS else f"suites({self.metric})"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the excess of the candidate on each suite."""
        return tuple(self._measure(rows, name) for name in self.names)

    def _measure(self, rows: HeldOut, name: str) -> Evidence:
        try:
            suite = rows.suite(name)
        except InvariantError as exc:
            return unmeasured(self.key, name, str(exc), self.at_least_rows)
        return self.comparison.evidence(self.key, name, suite)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when no suite finds the candidate clearly worse; the worst suite decides."""
        return all_of(
            (
                judge_excess(
                    each, margin=self.margin, at_least_rows=self.at_least_rows, at_most_width=self.at_most_width
                )
                for each in evidence
            ),
            asked=self.names,
            found=[each.subject for each in evidence],
        )
