"""Gate: the candidate is not clearly worse than the champion on the same newest held-out rows."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.stats.business import Aggregate
from anew.validate._gate import HeldOut, Judgement
from anew.validate._paired import LOSS, Comparison, judge_excess

__all__ = ["BETTER", "LOSS", "WORSE", "BeatsChampion"]

BETTER, WORSE = "rows on which the candidate loses less", "rows on which the champion loses less"
"""Subjects of the shares of rows on which the two disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatsChampion:
    """Compare paired answers; refuse a candidate that is clearly worse, and one that too little is known about.

    Parameters
    ----------
    metric
        ``loss`` (error, or absolute error over the range of the labels), any metric of the task, or ``business.NAME``.
    better
        Of a business metric: ``higher`` or ``lower``; its `definition` comes from the project's `business`, and its
        `function` from the pipeline where it is code.
    margin
        Excess that is tolerated, in units of the metric; of the loss 0.005 is half a point of error rate.
    at_least_rows
        Paired rows needed; below, INCONCLUSIVE.
    at_most_width
        Width of the interval above which nothing can be said: INCONCLUSIVE.
    confidence
        Level of the two-sided interval.

    Notes
    -----
    FAIL when the whole interval of the excess lies above the margin. This asks for no proof of being better: a gate
    that does refuses a third of good challengers, and the rollout proves non-inferiority afterwards on live traffic. Do
    not use it alone when there is no rollout behind it. Rows that resemble those before them count as fewer. The
    interval of the loss is Agresti and Min's for classes, Student's for numbers; that of other metrics comes from a
    paired bootstrap of blocks, seeded. A candidate that is just as good is refused about ``(1 - confidence) / 2`` of
    times at a margin of 0.

    Examples
    --------
    >>> import numpy as np
    >>> from anew.domain.column import Task
    >>> label = np.arange(400.0)
    >>> ours, theirs = (np.random.default_rng(seed).uniform(0, high, 400) for seed, high in ((1, 0.4), (2, 0.1)))
    >>> rows = HeldOut(task=Task.REGRESSION, label=label, challenger=label, challenger_loss=ours,
    ...                champion=label, champion_loss=theirs)
    >>> gate = BeatsChampion()
    >>> gate.judge(gate.measure(rows)).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = True

    metric: str = LOSS
    better: Literal["", "higher", "lower"] = ""
    definition: str = ""
    function: Aggregate | None = field(default=None, compare=False, repr=False)
    margin: float = 0.005
    at_least_rows: int = 200
    at_most_width: float = 0.4
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (self.margin >= 0 and 0 < self.confidence < 1 and self.at_least_rows > 1 and self.at_most_width > 0):
            raise InvariantError(
                f"{self} is no gate: margin at least 0, confidence in (0, 1), at least 2 rows, a width > 0"
            )
        if self.metric == LOSS and self.margin >= 1:
            raise InvariantError(f"a margin of {self.margin}: losses lie in [0, 1], so no candidate could fail")
        self.comparison  # noqa: B018  raises what cannot be compared

    @property
    def comparison(self) -> Comparison:
        """What is compared."""
        return Comparison(
            metric=self.metric,
            better=self.better,
            definition=self.definition,
            function=self.function,
            at_least_rows=self.at_least_rows,
            confidence=self.confidence,
        )

    @property
    def key(self) -> str:
        """``beats_champion``, with the metric in brackets where it is not the loss."""
        return "beats_champion" if self.metric == LOSS else f"beats_champion({self.metric})"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the excess of the candidate with its interval; `reference` is the champion's own value.

        The shares of rows on which either loses less than the other follow: where the two disagree, and who is right.
        """
        subject = "excess loss" if self.metric == LOSS else self.metric
        excess = self.comparison.evidence(self.key, subject, rows)
        if not excess.measured or rows.champion_loss is None:
            return (excess,)
        gain = rows.champion_loss - rows.challenger_loss
        shares = ((BETTER, float((gain > 0).mean())), (WORSE, float((gain < 0).mean())))
        return (excess, *(Evidence.of(self.key, share, rows.n, subject=name) for name, share in shares))

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when measured on enough rows, narrowly enough, and not clearly worse."""
        if not evidence:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason="nothing measured")
        return judge_excess(
            evidence[0], margin=self.margin, at_least_rows=self.at_least_rows, at_most_width=self.at_most_width
        )
