"""What several pages show in the same way: measured numbers, sentences, verdicts, series."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from anew.dashboard.record import Record
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import GateJudged, VersionPromoted, WindowScored
from anew.registry import VersionRecord
from anew.validate.fairness import OVER
from anew.validate.leakage import LEAP
from anew.validate.slos import BESIDE

__all__ = [
    "Gate",
    "Labels",
    "Measure",
    "Narrate",
    "Point",
    "Said",
    "Series",
    "Standing",
    "champions_own",
    "gates_of",
    "labels_of",
    "measured",
    "sentences",
    "series_of",
    "standing",
]

Narrate = Callable[[Fact], str]

_MOST_POINTS = 120
_LIKE = ("slos", "calibration", "fairness", "leakage")
"""Gates whose evidence is a number of the candidate itself, and its reference the same number of the champion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A number with its interval and what it is held against; `problem` says why there is none."""

    name: str
    subject: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    reference: float | None
    p_value: float | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A fact in one sentence."""

    at: datetime
    kind: str
    said: str
    id: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a gate said of a candidate; `mode` is required, advisory or ask."""

    gate: str
    verdict: str
    mode: str
    reason: str
    evidence: tuple[Measure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A version, and where it stands since when and why."""

    version: str
    standing: str
    since: datetime
    reason: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One window's measure, at the window's end, of the version that served it."""

    at: datetime
    value: float
    low: float | None
    high: float | None
    n: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How a measure of the served model went, and the instants at which another version took over."""

    metric: str
    limit: float | None
    points: tuple[Point, ...]
    promotions: tuple[tuple[datetime, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """How many of the answers of a scored window have a label, and how long labels took, in seconds."""

    start: datetime
    end: datetime
    answers: int
    labelled: int
    delay_p50_s: float | None
    delay_p90_s: float | None
    unmatched: int


def labels_of(score: WindowScored) -> Labels:
    """Return how labels of a window came."""
    return Labels(
        start=score.window.start,
        end=score.window.end,
        answers=score.n,
        labelled=score.labelled,
        delay_p50_s=score.delay_p50_s,
        delay_p90_s=score.delay_p90_s,
        unmatched=score.unmatched,
    )


def measured(evidence: Iterable[Evidence]) -> tuple[Measure, ...]:
    """Return evidence as it is shown."""
    return tuple(
        Measure(
            name=each.name,
            subject=each.subject,
            value=each.value,
            low=each.low,
            high=each.high,
            n=each.n,
            reference=each.reference,
            p_value=each.p_value,
            problem=each.problem,
        )
        for each in evidence
    )


def champions_own(gate: str, each: Evidence | Measure) -> float | None:
    """Return what a gate measured of the champion in the same way on the same rows; None where nothing is.

    By how much a candidate is worse, or how many times as bad, is no number that a champion has.
    """
    alike = gate.partition("(")[0] in _LIKE and not each.subject.endswith((BESIDE, OVER, LEAP))
    return each.reference if alike else None


def sentences(facts: Iterable[Fact], narrate: Narrate) -> tuple[Said, ...]:
    """Return facts as sentences."""
    return tuple(
        Said(at=fact.at, kind=fact.kind, said=narrate(fact), id=fact.id, by=getattr(fact, "by", "")) for fact in facts
    )


def gates_of(facts: Iterable[Fact]) -> tuple[Gate, ...]:
    """Return the last verdict of each gate among `facts`."""
    last: dict[str, GateJudged] = {}
    for fact in facts:
        if isinstance(fact, GateJudged):
            last[fact.gate] = fact
    return tuple(
        Gate(
            gate=each.gate,
            verdict=each.verdict.name,
            mode="ask" if each.ask else "required" if each.required else "advisory",
            reason=each.reason,
            evidence=measured(each.evidence),
        )
        for each in last.values()
    )


def standing(record: VersionRecord | None) -> Standing | None:
    """Return where a version stands."""
    if record is None:
        return None
    return Standing(
        version=record.version,
        standing=record.standing.value,
        since=record.since,
        reason=record.reason,
        digest=record.digest,
    )


def series_of(record: Record) -> Series | None:
    """Return the course of the first measure of the served model; None when nothing was scored."""
    scored = record.scored(_MOST_POINTS)
    named = next((each for fact in reversed(scored) for each in fact.evidence if each.measured), None)
    if named is None:
        return None
    points = []
    for fact in scored:
        for each in fact.evidence:
            if each.name == named.name and each.subject == named.subject and each.value is not None:
                at, value = fact.window.end, each.value
                points.append(Point(at=at, value=value, low=each.low, high=each.high, n=each.n, version=fact.version))
    return Series(
        metric=named.subject or named.name,
        limit=named.reference,
        points=tuple(points),
        promotions=_promotions(record, points[0].at),
    )


def _promotions(record: Record, after: datetime) -> tuple[tuple[datetime, str], ...]:
    facts = record.of_kind("VersionPromoted", most=_MOST_POINTS)
    return tuple((fact.at, fact.version) for fact in facts if isinstance(fact, VersionPromoted) and fact.at >= after)
