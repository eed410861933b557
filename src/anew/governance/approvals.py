"""Approvals: how many persons have to sign before a candidate gets traffic, and who they may be."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import timedelta

from anew.domain.errors import InvariantError

__all__ = ["PROMOTION", "Approvals", "Reason"]

PROMOTION = "promotion"
"""What is signed for, in the place of a gate's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What speaks for asking: a severe alert, sensitive data, what gates said."""

    high_severity: bool = False
    sensitive_data: bool = False
    advisory: bool = False
    overridden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """Numbers of persons, the greatest that applies counts.

    Parameters
    ----------
    promotion
        For every candidate.
    high_severity
        For one that an alert of severity HIGH or CRITICAL asked for.
    sensitive_data
        For every candidate of a project that declares sensitive columns.
    advisory, overridden
        For one that a gate which only advises did not pass, or with a gate overridden by a person.
    expires
        Wall time that they have.
    four_eyes
        May neither who asked for the retrain nor who overrode a gate of the candidate sign?
    approvers
        Names of those who may; empty: whoever is let in as an approver.
    """

    promotion: int = 0
    high_severity: int = 0
    sensitive_data: int = 0
    advisory: int = 0
    overridden: int = 0
    expires: timedelta = timedelta(days=7)
    four_eyes: bool = True
    approvers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        most = max(self.promotion, *(getattr(self, each.name) for each in fields(Reason)))
        if self.approvers and most > len(set(self.approvers)):
            raise InvariantError(f"{most} have to sign, and only {len(set(self.approvers))} may: nobody ever could")
        if self.expires <= timedelta(0):
            raise InvariantError(f"approvals that expire after {self.expires} can never be given")

    def needed(self, reason: Reason) -> tuple[int, tuple[str, ...]]:
        """Return how many have to sign, and which numbers of the policy say so.

        >>> Approvals(promotion=1, high_severity=2).needed(Reason(high_severity=True))
        (2, ('promotion', 'high_severity'))
        """
        asked = {PROMOTION: self.promotion}
        asked |= {each.name: getattr(self, each.name) for each in fields(Reason) if getattr(reason, each.name)}
        return max(asked.values()), tuple(name for name, persons in asked.items() if persons)

    def objection(self, by: str, signed: Collection[str], barred: Collection[str]) -> str:
        """Say why the signature of `by` does not count; empty when it does."""
        if by in signed:
            return f"{by} has signed already, and counts once"
        if by in barred:
            return f"{by} asked for the retrain or overrode one of its gates; somebody else has to sign"
        if self.approvers and by not in self.approvers:
            return f"{by} is none of the approvers that the policy names"
        return ""
