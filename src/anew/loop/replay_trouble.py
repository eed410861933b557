"""What went wrong in a replay without ending it: incidents, what broke, and what never measured anything."""

from collections.abc import Iterator, Mapping, Sequence

from anew.domain.evidence import BROKEN, Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateHeld,
    EffectFailed,
    GateJudged,
    IncidentRaised,
    RowsChecked,
    WindowClosed,
    WindowScored,
)
from anew.domain.verdict import Verdict

__all__ = ["said_of", "troubles"]


def troubles(facts: Sequence[Fact]) -> list[dict[str, object]]:
    """Return each trouble once: its kind, whose it is, how often it came, and what was said of it first.

    The kinds are ``incident``, of a detector, which holds retrains; ``unmeasured``, of a detector that failed to
    measure, or never had anything to judge; ``gate``, an ERROR; ``held``, a candidate that waits for a person, who is
    not there; and ``failed``, an effect that came to nothing.
    """
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for kind, name, said in (*_decided(facts), *_unmeasured(facts)):
        count, first = found.get((kind, name), (0, said))
        found[kind, name] = (count + 1, first)
    return [{"kind": kind, "name": name, "count": count, "said": said} for (kind, name), (count, said) in found.items()]


def _decided(facts: Sequence[Fact]) -> Iterator[tuple[str, str, str]]:
    for fact in facts:
        match fact:
            case IncidentRaised():
                yield "incident", fact.detector, fact.message
            case GateJudged() if fact.verdict is Verdict.ERROR:
                yield "gate", fact.gate, fact.reason
            case CandidateHeld():
                yield "held", ", ".join(fact.gates), fact.reason
            case EffectFailed():
                yield "failed", fact.effect, f"{fact.reason}: {fact.detail}"


def _unmeasured(facts: Sequence[Fact]) -> Iterator[tuple[str, str, str]]:
    asked: dict[str, list[list[Evidence]]] = {}
    for fact in facts:
        if isinstance(fact, WindowClosed | WindowScored | RowsChecked):
            here: dict[str, list[Evidence]] = {}
            for each in fact.evidence:
                here.setdefault(each.name, []).append(each)
            for name, evidence in here.items():
                asked.setdefault(name, []).append(evidence)
    for name, times in asked.items():
        never = not any(each.measured for evidence in times for each in evidence)
        for evidence in times:  # a detector that looks at many subjects fails once, not once for each
            problems = [each.problem for each in evidence if each.problem and (never or each.subject == BROKEN)]
            if problems:
                yield "unmeasured", name, problems[0]


def said_of(trouble: Mapping[str, object]) -> str:
    """Say a trouble in a line."""
    return f"{trouble['kind']} {trouble['name']}, {trouble['count']} times, first: {trouble['said']}"
