"""Governance: who consents to a retrain and to a rollout."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateAccepted,
    CandidateHeld,
    CandidateRefused,
    ProjectChanged,
    RetrainApproved,
    RetrainRequested,
    RolledBack,
    RolloutApproved,
    RolloutRefused,
    VersionPromoted,
)

__all__ = ["Governance", "GovernanceState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What a verdict rests on besides the candidate: the champion, and the project's files."""

    champion: str = ""
    settings: str = ""
    code: str = ""

    def changed(self, now: "_Ground") -> str:
        """Say in what `now` differs; empty when it does not."""
        if self.champion != now.champion:
            return f"the champion was {self.champion or 'nobody'} and is {now.champion or 'nobody'} now"
        named = {"anew.yaml": self.settings != now.settings, "the pipeline": self.code != now.code}
        return " and ".join(f"{name} has changed" for name, differs in named.items() if differs)


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceState:
    """How things stand, and how they stood when a candidate was stopped that a person may still let through."""

    ground: _Ground = _Ground()
    stopped: Mapping[str, _Ground] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Governance:
    """Consent by policy: every request is approved in the policy's name, and the consent is on record.

    A candidate that was stopped by its gates and let through by a person later goes to traffic only if the champion and
    the project's files are still those that it was judged under: what was signed is not what would happen otherwise.
    """

    by: str = "policy"

    def initial(self) -> GovernanceState:
        """Return the state before any fact."""
        return GovernanceState()

    def apply(self, state: GovernanceState, fact: Fact) -> GovernanceState:
        """Fold a fact."""
        match fact:
            case ProjectChanged():
                return replace(state, ground=replace(state.ground, settings=fact.settings, code=fact.code))
            case VersionPromoted():
                return replace(state, ground=replace(state.ground, champion=fact.version))
            case RolledBack():
                return replace(state, ground=replace(state.ground, champion=fact.to or state.ground.champion))
            case CandidateHeld() | CandidateRefused() if fact.version not in state.stopped:
                return replace(state, stopped=MappingProxyType({**state.stopped, fact.version: state.ground}))
        return state

    def decide(self, state: GovernanceState, fact: Fact) -> tuple[Fact, ...]:
        """Approve a requested retrain, and an accepted candidate's way to traffic unless things have changed."""
        match fact:
            case RetrainRequested():
                return (
                    RetrainApproved(
                        model=fact.model, at=fact.at, by=self.by, corrected=fact.corrected, revive=fact.revive
                    ),
                )
            case CandidateAccepted():
                changed = state.stopped.get(fact.version, state.ground).changed(state.ground)
                return (self._refused(fact, changed) if changed else self._approved(fact),)
        return ()

    def _approved(self, fact: CandidateAccepted) -> RolloutApproved:
        return RolloutApproved(
            model=fact.model,
            at=fact.at,
            version=fact.version,
            champion=fact.champion,
            digest=fact.digest,
            by=self.by,
        )

    def _refused(self, fact: CandidateAccepted, changed: str) -> RolloutRefused:
        return RolloutRefused(
            model=fact.model,
            at=fact.at,
            version=fact.version,
            digest=fact.digest,
            by=self.by,
            reason=f"it was let through after it had been stopped, and since then {changed}; ask for a retrain",
        )
