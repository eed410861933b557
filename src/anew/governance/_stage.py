"""Governance: who consents to a retrain and to a rollout."""

from dataclasses import dataclass

from anew.domain.fact import Fact
from anew.domain.facts import CandidateAccepted, RetrainApproved, RetrainRequested, RolloutApproved

__all__ = ["Governance", "GovernanceState"]


@dataclass(frozen=True, slots=True)
class GovernanceState:
    """Nothing has to be remembered as long as the policy consents by itself."""


@dataclass(frozen=True, slots=True)
class Governance:
    """Consent by policy: every request is approved in the policy's name, and the consent is on record."""

    by: str = "policy"

    def initial(self) -> GovernanceState:
        """Return the empty state."""
        return GovernanceState()

    def apply(self, state: GovernanceState, fact: Fact) -> GovernanceState:  # noqa: ARG002  the decider's contract
        """Return `state`: no fact changes it."""
        return state

    def decide(self, state: GovernanceState, fact: Fact) -> tuple[Fact, ...]:  # noqa: ARG002  the decider's contract
        """Approve a requested retrain, and an accepted candidate's way to traffic."""
        match fact:
            case RetrainRequested():
                return (RetrainApproved(model=fact.model, at=fact.at, by=self.by, corrected=fact.corrected),)
            case CandidateAccepted():
                return (
                    RolloutApproved(
                        model=fact.model,
                        at=fact.at,
                        version=fact.version,
                        champion=fact.champion,
                        digest=fact.digest,
                        by=self.by,
                    ),
                )
        return ()
