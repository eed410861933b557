"""A/B: several arms answer users of their own at the same time, each compared with the champion's arm."""

from dataclasses import dataclass

from anew.domain.errors import InvariantError
from anew.rollout._arms import check_limits, excess_of
from anew.rollout._judge import Outcome, Ruling
from anew.rollout._state import Probation

__all__ = ["AB"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AB:
    """Find the arm of a trial that is better than the champion, and take those that are worse off traffic at once.

    Parameters
    ----------
    harm
        Excess of an arm's mean loss over the champion arm's that ends it before it has `at_least_rows` labels, in units
        of the loss.
    alpha
        Chance that a trial of arms which are all as good as the champion decides anything, however often it is read.
    arms
        How many arms a trial may have; each is judged at ``alpha / arms``.
    at_least_rows
        Mature labels of the arm and of the champion's arm that are needed before an arm can win or be found worse.
    margin
        When given, an arm that is shown not to be worse by as much wins, too; else it has to be shown to be better.

    Notes
    -----
    A confidence sequence of the difference of means for each arm, valid at all looks at once; over the arms by
    Bonferroni, whatever the arms have in common (they share the champion's arm). ADVANCE when it lies below zero (below
    `margin`), HARM when above zero. All arms answer at the same time, so a champion that turns bad does so for all.
    It takes many labels to tell arms apart that differ by a point or two: shadow, which pairs answers, needs a tenth,
    where what came of a request does not depend on whose answer the user saw.

    References
    ----------
    Howard, S. R. et al. (2021), Time-uniform, nonparametric, nonasymptotic confidence sequences, Ann. Statist. 49(2).
    """

    harm: float = 0.05
    alpha: float = 0.05
    arms: int = 1
    at_least_rows: int = 100
    margin: float | None = None

    def __post_init__(self) -> None:
        check_limits(self, harm=self.harm, alpha=self.alpha, at_least_rows=self.at_least_rows, margin=self.margin)
        if self.arms < 1:
            raise InvariantError(f"{self}: a trial has at least one arm")

    def rule(self, probation: Probation) -> Ruling:
        """ADVANCE when the arm is shown to be better, HARM when it is shown to be worse, else HOLD."""
        level = self.alpha / self.arms
        found = excess_of(probation, harm=self.harm, alpha=level, at_least_rows=self.at_least_rows)
        if isinstance(found, str):
            return Ruling(outcome=Outcome.HOLD, reason=found)
        limit = 0.0 if self.margin is None else self.margin
        evidence = found.evidence(f"arm {probation.challenger[0]} at {probation.share:.0%}", limit)
        if found.low > 0 and (found.enough or found.mean > self.harm):
            return Ruling(outcome=Outcome.HARM, reason=f"{found}: worse than the champion", evidence=evidence)
        if found.enough and found.high < limit:
            better = "better than the champion" if self.margin is None else f"not worse by {limit:g}"
            return Ruling(outcome=Outcome.ADVANCE, reason=f"{found}: {better}", evidence=evidence)
        return Ruling(outcome=Outcome.HOLD, reason=str(found), evidence=evidence)
