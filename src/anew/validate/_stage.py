"""Validate: a measured candidate in, a verdict of each gate out, and whether it may go on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from anew.domain.evidence import Evidence, failure
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateAccepted,
    CandidateMeasured,
    CandidateRefused,
    CandidateTrained,
    EffectFailed,
    GateJudged,
    OverrideSigned,
)
from anew.domain.verdict import Verdict, worst
from anew.validate._gate import Gate, Gates, Judgement

__all__ = ["Candidacy", "Validate", "ValidateState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidacy:
    """A candidate on its way through the gates: verdict and requiredness by gate, and gates overridden by a person."""

    version: str
    champion: str
    digest: str
    asked: str
    verdicts: Mapping[str, tuple[Verdict, bool]] = field(default_factory=lambda: MappingProxyType({}))
    overridden: frozenset[str] = frozenset()
    accepted: bool = False

    @property
    def is_judged(self) -> bool:
        """Has any required gate given its verdict? Without one nothing is proved, whatever is overridden."""
        return any(required for _, required in self.verdicts.values())

    @property
    def in_the_way(self) -> tuple[str, ...]:
        """Required gates that neither passed nor were overridden, sorted."""
        return tuple(
            sorted(
                gate
                for gate, (verdict, required) in self.verdicts.items()
                if required and verdict is not Verdict.PASS and gate not in self.overridden
            )
        )


@dataclass(frozen=True, slots=True)
class ValidateState:
    """The latest candidate; an override of an older one has no effect."""

    candidacy: Candidacy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate:
    """Asks every gate about the evidence that bears its key; the worst required verdict decides.

    Parameters
    ----------
    gates
        By key, with whether each is required. Gates that need a champion are left out for a first one.
    """

    gates: Gates = field(default_factory=lambda: MappingProxyType({}))

    def initial(self) -> ValidateState:
        """Return the state before any candidate."""
        return ValidateState()

    def apply(self, state: ValidateState, fact: Fact) -> ValidateState:
        """Fold a fact."""
        match fact:
            case CandidateTrained():
                return ValidateState(
                    Candidacy(version=fact.version, champion=fact.champion, digest=fact.digest, asked=fact.id)
                )
            case GateJudged() if state.candidacy and fact.version == state.candidacy.version:
                verdicts = MappingProxyType({**state.candidacy.verdicts, fact.gate: (fact.verdict, fact.required)})
                return ValidateState(replace(state.candidacy, verdicts=verdicts))
            case OverrideSigned() if state.candidacy and (fact.version, fact.digest) == (
                state.candidacy.version,
                state.candidacy.digest,
            ):
                return ValidateState(replace(state.candidacy, overridden=state.candidacy.overridden | {fact.gate}))
            case CandidateAccepted() if state.candidacy and fact.version == state.candidacy.version:
                return ValidateState(replace(state.candidacy, accepted=True))
        return state

    def decide(self, state: ValidateState, fact: Fact) -> tuple[Fact, ...]:
        """Judge what was measured; accept after an override that clears the last gate in the way."""
        match fact:
            case CandidateMeasured() if state.candidacy and fact.cause == state.candidacy.asked:
                return self._conclude(state.candidacy, fact, self._judged(state.candidacy, fact))
            case EffectFailed() if state.candidacy and fact.cause == state.candidacy.asked:
                broken = Judgement(verdict=Verdict.ERROR, reason=f"not measured: {fact.reason}: {fact.detail}")
                judged = tuple(
                    _verdict(state.candidacy, fact, (key, required), broken, ())
                    for key, (_, required) in self._asked(state.candidacy).items()
                )
                return self._conclude(state.candidacy, fact, judged)
            case OverrideSigned() if state.candidacy and fact.version == state.candidacy.version:
                candidacy = state.candidacy
                if fact.gate in candidacy.overridden and not candidacy.accepted and candidacy.is_judged:
                    return (self._accepted(candidacy, fact),) if not candidacy.in_the_way else ()
        return ()

    def _asked(self, candidacy: Candidacy) -> Mapping[str, tuple[Gate, bool]]:
        """Return the gates that this candidate has to face, by key."""
        return {
            key: (gate, required)
            for key, (gate, required) in self.gates.items()
            if candidacy.champion or not gate.needs_champion
        }

    def _judged(self, candidacy: Candidacy, fact: CandidateMeasured) -> tuple[GateJudged, ...]:
        by_gate: dict[str, list[Evidence]] = {}
        for evidence in fact.evidence:
            by_gate.setdefault(evidence.name, []).append(evidence)
        stray = _stray(candidacy, fact)
        judged = []
        for key, (gate, required) in self._asked(candidacy).items():
            found = tuple(by_gate.get(key, ()))
            if stray:
                judgement = Judgement(verdict=Verdict.ERROR, reason=stray)
            elif found:
                judgement = _judgement(gate, found)
            else:
                judgement = Judgement(verdict=Verdict.INCONCLUSIVE, reason="nothing measured")
            judged.append(_verdict(candidacy, fact, (key, required), judgement, found))
        return tuple(judged)

    def _conclude(self, candidacy: Candidacy, fact: Fact, judged: tuple[GateJudged, ...]) -> tuple[Fact, ...]:
        required = [each for each in judged if each.required]
        failed = [
            each for each in required if each.verdict is not Verdict.PASS and each.gate not in candidacy.overridden
        ]
        if required and not failed:
            return (*judged, self._accepted(candidacy, fact))
        reason = "; ".join(f"{each.gate} {each.verdict.name}: {each.reason}" for each in failed)
        refused = CandidateRefused(
            model=fact.model,
            at=fact.at,
            version=candidacy.version,
            verdict=worst(each.verdict for each in failed),
            gates=tuple(sorted(each.gate for each in failed)),
            reason=reason or "no required gate is configured, so nothing was proved",
        )
        return (*judged, refused)

    @staticmethod
    def _accepted(candidacy: Candidacy, fact: Fact) -> CandidateAccepted:
        return CandidateAccepted(
            model=fact.model,
            at=fact.at,
            version=candidacy.version,
            champion=candidacy.champion,
            digest=candidacy.digest,
        )


def _stray(candidacy: Candidacy, fact: CandidateMeasured) -> str:
    """Say in what the measurement is about something else than the candidate; empty when it is not."""
    found, asked = ((each.version, each.digest, each.champion) for each in (fact, candidacy))
    return "" if found == asked else f"measured (version, digest, champion) {found}, asked for {asked}"


def _judgement(gate: Gate, evidence: tuple[Evidence, ...]) -> Judgement:
    """Let a gate judge; one that fails has not let anybody through."""
    try:
        return gate.judge(evidence)
    except Exception as exc:  # noqa: BLE001 - gates may be anybody's
        return Judgement(verdict=Verdict.ERROR, reason=f"the gate itself failed: {failure(exc)}")


def _verdict(
    candidacy: Candidacy, fact: Fact, asked: tuple[str, bool], judgement: Judgement, evidence: tuple[Evidence, ...]
) -> GateJudged:
    return GateJudged(
        model=fact.model,
        at=fact.at,
        version=candidacy.version,
        gate=asked[0],
        verdict=judgement.verdict,
        required=asked[1],
        reason=judgement.reason,
        evidence=evidence,
    )
