"""A/B: several arms answer users of their own at the same time, each compared with the champion's arm."""

from dataclasses import dataclass

import numpy as np

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.rollout._judge import Outcome, Ruling
from anew.rollout._state import Probation
from anew.rollout.shadow import grid_of
from anew.stats.betting import difference_confidence_sequence

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
        if not (0 < self.harm < 1 and 0 < self.alpha < 0.5 and self.at_least_rows > 0 and self.arms > 0):
            raise InvariantError(f"{self}: harm in (0, 1), alpha in (0, 0.5), at least one row and one arm are needed")
        if self.margin is not None and not 0 < self.margin < 1:
            raise InvariantError(f"{self}: the margin lies in (0, 1), or is left out")

    def rule(self, probation: Probation) -> Ruling:
        """ADVANCE when the arm is shown to be better, HARM when it is shown to be worse, else HOLD."""
        ours, theirs = probation.challenger_loss, probation.champion_loss
        if ours is None or theirs is None or not ours.n or not theirs.n:
            return Ruling(outcome=Outcome.HOLD, reason="no labels of both arms yet")
        excess = (ours.mean or 0.0) - (theirs.mean or 0.0)
        enough = min(ours.n, theirs.n) >= self.at_least_rows
        if excess <= self.harm and not enough:
            # No interval could change this, and it costs milliseconds.
            needed = f"{self.at_least_rows} labels of each arm are needed"
            return Ruling(outcome=Outcome.HOLD, reason=f"excess loss {excess:+.4f} on {ours.n} labels; {needed}")
        level = self.alpha / self.arms
        low, high = difference_confidence_sequence(np.array(ours.counts), np.array(theirs.counts), grid_of(ours), level)
        limit = 0.0 if self.margin is None else self.margin
        evidence = (
            Evidence.of(
                "excess_loss",
                excess,
                ours.n,
                subject=f"arm {probation.challenger[0]} at {probation.share:.0%}",
                interval=(low, high),
                confidence=1 - level,
                reference=limit,
            ),
        )
        found = f"excess loss {excess:+.4f} ({low:+.4f} to {high:+.4f}) on {ours.n} labels at {probation.share:.0%}"
        if low > 0 and (enough or excess > self.harm):
            return Ruling(outcome=Outcome.HARM, reason=f"{found}: worse than the champion", evidence=evidence)
        if enough and high < limit:
            better = "better than the champion" if self.margin is None else f"not worse by {limit:g}"
            return Ruling(outcome=Outcome.ADVANCE, reason=f"{found}: {better}", evidence=evidence)
        return Ruling(outcome=Outcome.HOLD, reason=found, evidence=evidence)
