"""Which facts people are told of, and how."""

from anew.app.narration import narrate
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    ApprovalAsked,
    CandidateHeld,
    CandidateRefused,
    EffectFailed,
    GuardrailTripped,
    IncidentRaised,
    LabellerWeighed,
    RetrainWithheld,
    RolledBack,
    RolloutDelayed,
    RolloutHeld,
    RolloutRefused,
    RolloutStalled,
    RolloutSuperseded,
    SourceCapped,
    VersionPromoted,
)
from anew.domain.severity import Severity
from anew.ports.notice import Notice

__all__ = ["notice"]

_SPENT = "budget"


def notice(fact: Fact) -> Notice | None:
    """Return what people are told of `fact`; None for what is the loop's everyday business."""
    match fact:
        case IncidentRaised():
            return _made(fact, fact.detector, "broken data", urgent=True)
        case AlertRaised() if fact.severity >= Severity.HIGH:
            return _made(fact, fact.detector, "alert", urgent=True)
        case EffectFailed():
            held = fact.reason == "nothing_to_correct"
            said = "a retrain is held: there is nothing to correct with" if held else f"{fact.effect} failed"
            return _made(fact, f"{fact.effect}/{fact.reason}", said, urgent=True)
        case RetrainWithheld() if fact.reason == _SPENT:
            return _made(fact, fact.reason, "a retrain is withheld", urgent=True)
        case GuardrailTripped() | RolledBack():
            return _made(fact, fact.version, "a version was taken back", urgent=True)
        case RolloutHeld() | RolloutStalled() | CandidateHeld() | ApprovalAsked() | RolloutDelayed():
            return _made(fact, fact.version, "a version waits", urgent=True)
        case LabellerWeighed() if not fact.trusted:
            return _made(fact, fact.labeller, "a labeller is not believed any more", urgent=True)
        case SourceCapped():
            return _made(fact, "", "a source of labels was capped", urgent=True)
        case CandidateRefused() | RolloutRefused():
            return _made(fact, fact.version, "a candidate was refused")
        case RolloutSuperseded():
            return _made(fact, fact.version, "a candidate gave way")
        case VersionPromoted():
            return _made(fact, fact.version, "a version was promoted")
    return None


def _made(fact: Fact, key: str, said: str, *, urgent: bool = False) -> Notice:
    return Notice(key=f"{fact.kind}/{key}", title=f"{fact.model}: {said}", body=narrate(fact), urgent=urgent)
