"""Validate: a measured candidate in, a verdict of each gate out, and whether it may go on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from anew.domain.evidence import BROKEN, Evidence, failure
from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalSigned,
    CandidateAccepted,
    CandidateHeld,
    CandidateMeasured,
    CandidateRefused,
    CandidateTrained,
    EffectFailed,
    GateJudged,
    OverrideSigned,
    SourceCapped,
)
from anew.domain.verdict import Verdict, worst
from anew.validate._gate import Gate, Gates, Judgement

__all__ = ["SOURCES", "Candidacy", "Validate", "ValidateState"]

SOURCES = "sources"
"""Key under which a candidate waits for a person because a source had more of its rows than it may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidacy:
    """A candidate on its way through the gates: what each said, and what persons signed."""

    version: str
    champion: str
    digest: str
    asked: str
    capped: tuple[SourceCapped, ...] = ()
    judged: Mapping[str, GateJudged] = field(default_factory=lambda: MappingProxyType({}))
    overridden: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()
    accepted: bool = False

    @property
    def is_judged(self) -> bool:
        """Has any gate that counts given its verdict? Without one nothing is proved, whatever is signed."""
        return any(each.required for each in self.judged.values())

    @property
    def in_the_way(self) -> tuple[GateJudged, ...]:
        """Verdicts that count, are no PASS and were not signed away, in order of the gates' names."""
        return tuple(
            each
            for gate, each in sorted(self.judged.items())
            if each.required and each.verdict is not Verdict.PASS and gate not in self.signed_away
        )

    @property
    def signed_away(self) -> frozenset[str]:
        """Gates that a person overrode; or approved, where they ask for that."""
        return self.overridden | {gate for gate in self.approved if gate in self.judged and self.judged[gate].ask}

    @property
    def waits(self) -> bool:
        """Is it neither accepted nor refused, because all that is in its way asks a person?"""
        return self.is_judged and not self.accepted and all(each.ask for each in self.in_the_way)


@dataclass(frozen=True, slots=True)
class ValidateState:
    """The latest candidate; an override of an older one has no effect. And the alarms about the latest snapshot."""

    candidacy: Candidacy | None = None
    capped: tuple[SourceCapped, ...] = ()

    @property
    def waits(self) -> bool:
        """Does the latest candidate wait for a person at gates that ask?"""
        return self.candidacy is not None and self.candidacy.waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate:
    """Asks every gate about the evidence that bears its key; the worst required verdict decides.

    Parameters
    ----------
    gates
        By key, with whether each counts. Gates that need a champion are left out for a first one.
    asking
        Keys of those that count and ask a person where they do not pass, instead of refusing.
    """

    gates: Gates = field(default_factory=lambda: MappingProxyType({}))
    asking: frozenset[str] = frozenset()

    def initial(self) -> ValidateState:
        """Return the state before any candidate."""
        return ValidateState()

    def apply(self, state: ValidateState, fact: Fact) -> ValidateState:
        """Fold a fact."""
        match fact:
            case SourceCapped():
                state = replace(state, capped=(*(c for c in state.capped if c.version == fact.version), fact))
                if state.candidacy is None or state.candidacy.version != fact.version:
                    return state
                return replace(state, candidacy=replace(state.candidacy, capped=state.capped))  # of its second model
            case CandidateTrained():
                capped = tuple(each for each in state.capped if each.version == fact.version)
                candidacy = Candidacy(
                    version=fact.version, champion=fact.champion, digest=fact.digest, asked=fact.id, capped=capped
                )
                return replace(state, candidacy=candidacy)
            case GateJudged() if state.candidacy and fact.version == state.candidacy.version:
                judged = MappingProxyType({**state.candidacy.judged, fact.gate: fact})
                return replace(state, candidacy=replace(state.candidacy, judged=judged))
            case OverrideSigned() | ApprovalSigned() if state.candidacy and (fact.version, fact.digest) == (
                state.candidacy.version,
                state.candidacy.digest,
            ):
                kind = "approved" if isinstance(fact, ApprovalSigned) else "overridden"
                signed = getattr(state.candidacy, kind) | {fact.gate}
                return replace(state, candidacy=replace(state.candidacy, **{kind: signed}))
            case CandidateAccepted() if state.candidacy and fact.version == state.candidacy.version:
                return replace(state, candidacy=replace(state.candidacy, accepted=True))
        return state

    def decide(self, state: ValidateState, fact: Fact) -> tuple[Fact, ...]:
        """Judge what was measured; go on after a signature that clears a gate in the way."""
        candidacy = state.candidacy
        match fact:
            case CandidateMeasured() if candidacy and fact.cause == candidacy.asked:
                return self._conclude(candidacy, fact, self._judged(candidacy, fact))
            case EffectFailed() if candidacy and fact.cause == candidacy.asked:
                broken = Judgement(verdict=Verdict.ERROR, reason=f"not measured: {fact.reason}: {fact.detail}")
                judged = tuple(
                    self._verdict(candidacy, fact, (key, required), broken, ())
                    for key, (_, required) in self._asked(candidacy).items()
                )
                return self._conclude(candidacy, fact, judged)
            case OverrideSigned() | ApprovalSigned() if candidacy and fact.version == candidacy.version:
                signed = fact.digest == candidacy.digest and fact.gate in candidacy.signed_away
                if signed and not candidacy.accepted and candidacy.is_judged:
                    return _after_signature(candidacy, fact)
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
            judged.append(self._verdict(candidacy, fact, (key, required), judgement, found))
        return (*judged, *_suspected(candidacy, fact))

    def _conclude(self, candidacy: Candidacy, fact: Fact, judged: tuple[GateJudged, ...]) -> tuple[Fact, ...]:
        after = replace(candidacy, judged=MappingProxyType({each.gate: each for each in judged}))
        in_the_way = after.in_the_way
        if after.is_judged and not in_the_way:
            return (*judged, _accepted(candidacy, fact))
        if after.waits:
            return (*judged, _held(candidacy, fact, in_the_way))
        refused = CandidateRefused(
            model=fact.model,
            at=fact.at,
            version=candidacy.version,
            verdict=worst(each.verdict for each in in_the_way),
            gates=tuple(each.gate for each in in_the_way),
            reason=_said(in_the_way) or self._nothing_proved(),
        )
        return (*judged, refused)

    def _nothing_proved(self) -> str:
        beside = ", ".join(key for key, (gate, required) in self.gates.items() if required and gate.needs_champion)
        if beside:
            return f"no required gate looks at a first champion ({beside}: beside one), so nothing was proved"
        return "no required gate is configured, so nothing was proved"

    def _verdict(
        self,
        candidacy: Candidacy,
        fact: Fact,
        asked: tuple[str, bool],
        judgement: Judgement,
        evidence: tuple[Evidence, ...],
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
            ask=asked[1] and asked[0] in self.asking,
        )


def _suspected(candidacy: Candidacy, fact: Fact) -> tuple[GateJudged, ...]:
    """Have a person look at a candidate of which too much is the word of one source, whatever else it proved."""
    if not candidacy.capped:
        return ()
    named = ", ".join(f"{each.source or '(no name)'} with {each.share:.0%}" for each in candidacy.capped)
    return (
        GateJudged(
            model=fact.model,
            at=fact.at,
            version=candidacy.version,
            gate=SOURCES,
            verdict=Verdict.INCONCLUSIVE,
            required=True,
            reason=f"a source had more of the rows than it may have: {named}; purge it and retrain, or approve",
            ask=True,
        ),
    )


def _after_signature(candidacy: Candidacy, fact: Fact) -> tuple[Fact, ...]:
    """Accept when nothing is in the way any more; wait when all that is left asks a person."""
    in_the_way = candidacy.in_the_way
    if not in_the_way:
        return (_accepted(candidacy, fact),)
    return (_held(candidacy, fact, in_the_way),) if candidacy.waits else ()


def _accepted(candidacy: Candidacy, fact: Fact) -> CandidateAccepted:
    return CandidateAccepted(
        model=fact.model,
        at=fact.at,
        version=candidacy.version,
        champion=candidacy.champion,
        digest=candidacy.digest,
    )


def _held(candidacy: Candidacy, fact: Fact, in_the_way: tuple[GateJudged, ...]) -> CandidateHeld:
    return CandidateHeld(
        model=fact.model,
        at=fact.at,
        version=candidacy.version,
        champion=candidacy.champion,
        digest=candidacy.digest,
        gates=tuple(each.gate for each in in_the_way),
        reason=_said(in_the_way),
    )


def _said(verdicts: tuple[GateJudged, ...]) -> str:
    return "; ".join(f"{each.gate} {each.verdict.name}: {each.reason}" for each in verdicts)


def _stray(candidacy: Candidacy, fact: CandidateMeasured) -> str:
    """Say in what the measurement is about something else than the candidate; empty when it is not."""
    found, asked = ((each.version, each.digest, each.champion) for each in (fact, candidacy))
    return "" if found == asked else f"measured (version, digest, champion) {found}, asked for {asked}"


def _judgement(gate: Gate, evidence: tuple[Evidence, ...]) -> Judgement:
    """Let a gate judge; one that fails, or passes what was not measured, has not let anybody through."""
    broken = next((each for each in evidence if each.subject == BROKEN and each.problem), None)
    if broken is not None:
        return Judgement(verdict=Verdict.ERROR, reason=f"it could not measure: {broken.problem}")
    try:
        said = _checked(gate.judge(evidence))
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - gates may be anybody's
        return Judgement(verdict=Verdict.ERROR, reason=f"{_unproved(evidence)}the gate itself failed: {failure(exc)}")
    if said.verdict is Verdict.PASS and not _is_proof(gate, evidence):
        reason = f"{_unproved(evidence)}the gate judged PASS all the same: {said.reason}"
        return Judgement(verdict=Verdict.ERROR, reason=reason)
    return said


def _checked(said: object) -> Judgement:
    """Return what a gate said, where it is something that a gate may say."""
    if not isinstance(said, Judgement):
        raise TypeError(f"judge returned {said!r:.80}; it has to return an anew.validate.Judgement")
    if not isinstance(said.verdict, Verdict) or not isinstance(said.reason, str):
        raise TypeError(f"judge returned {said!r:.80}; verdict has to be an anew.domain.verdict.Verdict, reason text")
    return said


def _is_proof(gate: Gate, evidence: tuple[Evidence, ...]) -> bool:
    """Say whether a PASS may rest on the evidence."""
    sound = [not each.problem and each.value is not None for each in evidence]
    return any(sound) if getattr(gate, "partial", False) else all(sound)


def _unproved(evidence: tuple[Evidence, ...]) -> str:
    """Say what is the matter with the first evidence that has a problem; empty where none has."""
    bad = next((each for each in evidence if each.problem), None)
    if bad is None:
        return ""
    return f"{bad.subject}: {bad.problem}; " if bad.subject else f"{bad.problem}; "
