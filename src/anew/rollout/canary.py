"""Canary: real users on the challenger; guards against gross harm that shadow cannot see."""

from dataclasses import dataclass

import numpy as np

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.rollout._judge import Outcome, Ruling
from anew.rollout._state import Probation
from anew.rollout.shadow import grid_of
from anew.stats.betting import difference_confidence_sequence

__all__ = ["Canary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Go back on gross harm, go on after enough mature labels without it.

    Parameters
    ----------
    harm
        Excess of the challenger arm's mean loss over the champion arm's that counts as harm, in units of the loss.
    alpha
        Level of the confidence sequence of the difference.
    at_least_rows
        Mature labels of each arm that a step needs.
    margin
        When given, a step also needs proof: the whole confidence sequence of the excess below it. Real users answer
        different requests in each arm, so it takes some 15,000 labels to rule out one point; shadow needs a tenth.

    Notes
    -----
    The arms answer different requests, so the comparison is relative: a champion that goes bad at the same time is not
    held against the challenger. HARM when the confidence sequence lies above zero and the mean excess above `harm`;
    ADVANCE after `at_least_rows` labels on which the mean excess is below `harm`.

    References
    ----------
    Howard, S. R. et al. (2021), Time-uniform, nonparametric, nonasymptotic confidence sequences, Ann. Statist. 49(2).
    """

    harm: float = 0.05
    alpha: float = 0.05
    at_least_rows: int = 100
    margin: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.harm < 1 and 0 < self.alpha < 0.5 and self.at_least_rows > 0):
            raise InvariantError(f"{self}: harm in (0, 1), alpha in (0, 0.5) and at least one row are needed")
        if self.margin is not None and not 0 < self.margin < 1:
            raise InvariantError(f"{self}: the margin lies in (0, 1), or is left out")

    def rule(self, probation: Probation) -> Ruling:
        """ADVANCE after enough labels without harm, HARM when it is shown, else HOLD."""
        ours, theirs = probation.challenger_loss, probation.champion_loss
        if ours is None or theirs is None or not ours.n or not theirs.n:
            return Ruling(outcome=Outcome.HOLD, reason="no labels of both arms yet")
        excess = (ours.mean or 0.0) - (theirs.mean or 0.0)
        enough = min(ours.n, theirs.n) >= self.at_least_rows
        if excess <= self.harm and not enough:
            # No interval could change this, and it costs milliseconds.
            needed = f"{self.at_least_rows} labels of each arm are needed"
            return Ruling(outcome=Outcome.HOLD, reason=f"excess loss {excess:+.4f} on {ours.n} labels; {needed}")
        low, high = difference_confidence_sequence(
            np.array(ours.counts), np.array(theirs.counts), grid_of(ours), self.alpha
        )
        evidence = (
            Evidence.of(
                "excess_loss",
                excess,
                ours.n,
                subject=f"canary {probation.share:.0%}",
                interval=(low, high),
                confidence=1 - self.alpha,
                reference=self.harm,
            ),
        )
        found = f"excess loss {excess:+.4f} ({low:+.4f} to {high:+.4f}) on {ours.n} labels at {probation.share:.0%}"
        if low > 0 and excess > self.harm:
            return Ruling(outcome=Outcome.HARM, reason=f"{found}: harm beyond {self.harm:g}", evidence=evidence)
        if enough and self.margin is not None and high >= self.margin:
            reason = f"{found}: not proved to be below {self.margin:g} yet"
            return Ruling(outcome=Outcome.HOLD, reason=reason, evidence=evidence)
        if enough and excess <= self.harm:
            return Ruling(outcome=Outcome.ADVANCE, reason=f"{found}: no harm beyond {self.harm:g}", evidence=evidence)
        return Ruling(outcome=Outcome.HOLD, reason=found, evidence=evidence)
