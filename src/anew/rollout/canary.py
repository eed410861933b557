"""Canary: real users on the challenger; guards against gross harm that shadow cannot see."""

from dataclasses import dataclass

from anew.rollout._arms import check_limits, excess_of
from anew.rollout._judge import Outcome, Ruling
from anew.rollout._state import Probation

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
        check_limits(self, harm=self.harm, alpha=self.alpha, at_least_rows=self.at_least_rows, margin=self.margin)

    def rule(self, probation: Probation) -> Ruling:
        """ADVANCE after enough labels without harm, HARM when it is shown, else HOLD."""
        found = excess_of(probation, harm=self.harm, alpha=self.alpha, at_least_rows=self.at_least_rows)
        if isinstance(found, str):
            return Ruling(outcome=Outcome.HOLD, reason=found)
        evidence = found.evidence(f"canary {probation.share:.0%}", self.harm)
        if found.low > 0 and found.mean > self.harm:
            return Ruling(outcome=Outcome.HARM, reason=f"{found}: harm beyond {self.harm:g}", evidence=evidence)
        if found.enough and self.margin is not None and found.high >= self.margin:
            reason = f"{found}: not proved to be below {self.margin:g} yet"
            return Ruling(outcome=Outcome.HOLD, reason=reason, evidence=evidence)
        if found.enough and found.mean <= self.harm:
            return Ruling(outcome=Outcome.ADVANCE, reason=f"{found}: no harm beyond {self.harm:g}", evidence=evidence)
        return Ruling(outcome=Outcome.HOLD, reason=str(found), evidence=evidence)
