"""What the loop did and how it stands, as numbers for Prometheus: a fold over the record."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    FACTS,
    AlertRaised,
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    GateJudged,
    IncidentRaised,
    RetrainHeld,
    RetrainRequested,
    RetrainWithheld,
    RolledBack,
    SnapshotTaken,
    SpanFitted,
    SpansCompared,
    Stage,
    TrafficShifted,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.severity import Severity
from anew.gateway.metrics import Sample
from anew.governance import Governance, GovernanceState
from anew.ports.eventlog import Recorded

__all__ = ["FAMILIES", "LoopMeter"]

FAMILIES: Final[Mapping[str, tuple[str, str]]] = {
    "anew_loop_facts_total": ("counter", "Facts on record, by kind."),
    "anew_loop_effects_total": ("counter", "Effects that ended, by stage and outcome."),
    "anew_loop_effect_duration_seconds": ("summary", "Wall time from when an effect was asked for to its end."),
    "anew_loop_effect_compute_seconds_total": ("counter", "CPU time of effects that ended, by stage."),
    "anew_loop_effects_pending": ("gauge", "Effects that were asked for and have not ended."),
    "anew_loop_effect_oldest_age_seconds": ("gauge", "Age of the oldest effect that has not ended; 0 for none."),
    "anew_loop_seen_timestamp_seconds": ("gauge", "When the control process last looked, in Unix time."),
    "anew_trigger_requests_total": ("counter", "Retrains that were asked for, by trigger."),
    "anew_trigger_withheld_total": ("counter", "Retrains that were not asked for, by reason."),
    "anew_alerts_total": ("counter", "Alerts, by detector and severity."),
    "anew_incidents_total": ("counter", "Incidents of broken data, by detector."),
    "anew_drift": ("gauge", "What a detector measured last, by what it was measured on."),
    "anew_performance": ("gauge", "A metric on the last window that was scored."),
    "anew_label_coverage_ratio": ("gauge", "Share of the last scored window's answers that have a label."),
    "anew_gate_verdicts_total": ("counter", "Verdicts on candidates, by gate."),
    "anew_training_compute_seconds_total": ("counter", "CPU time of training runs."),
    "anew_training_cost_total": ("counter", "Money of training runs, where policy.cost.compute_hour is written."),
    "anew_run_compute_seconds": ("gauge", "CPU time of each of the last runs."),
    "anew_month_compute_seconds": ("gauge", "CPU time of the runs of a month."),
    "anew_month_cost": ("gauge", "Money of the runs of a month, where policy.cost.compute_hour is written."),
    "anew_promotions_total": ("counter", "Versions that were promoted."),
    "anew_rollbacks_total": ("counter", "Versions that were taken back."),
    "anew_rollout_stage": ("gauge", "1 for the stage that the traffic is in."),
    "anew_rollout_challenger_ratio": ("gauge", "Share of keys that the challenger answers."),
    "anew_approvals_missing": ("gauge", "Persons who have to approve yet before a candidate goes on."),
    "anew_approval_age_seconds": ("gauge", "How long a candidate has waited for persons or a freeze; 0 for none."),
    "anew_frozen": ("gauge", "1 while a freeze keeps everything from being promoted."),
}
"""Families of the page: kind, and what they are."""

_RUNS = 20
_CLOCK = "clock"

_Took = SnapshotTaken | CandidateTrained | SpanFitted | CandidateMeasured | SpansCompared | EffectFailed


@dataclass(slots=True)
class LoopMeter:
    """Hears every fact with the wall time of its recording; `samples` says how things stand.

    Parameters
    ----------
    hour
        Money of an hour of CPU; 0 where the policy names none, and nothing is told in money.
    detectors
        Names of those that may raise alerts and incidents.
    """

    model: str
    hour: float
    detectors: Collection[str] = ()
    _facts: Counter[str] = field(default_factory=Counter)
    _counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)
    _last: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)
    _pending: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _runs: dict[str, float] = field(default_factory=dict)
    _months: Counter[str] = field(default_factory=Counter)
    _consent: GovernanceState = field(default_factory=GovernanceState)
    _accepted_at: datetime | None = None
    _scored: datetime | None = None

    def __post_init__(self) -> None:
        """Begin at 0 what alert rules ask the increase of: Prometheus sees none in a series that begins at 1."""
        self._count("anew_promotions_total", by=0)
        self._count("anew_rollbacks_total", by=0)
        self._count("anew_trigger_withheld_total", by=0, reason="budget")
        for effect in {kind.asks for kind in FACTS.values() if kind.asks}:
            self._count("anew_loop_effects_total", by=0, effect=effect, outcome="failed")
        for detector in (*self.detectors, _CLOCK):
            self._count("anew_incidents_total", by=0, detector=detector)
        for detector in self.detectors:
            for severity in Severity:
                self._count("anew_alerts_total", by=0, detector=detector, severity=severity.name.lower())

    def hear(self, recorded: Recorded) -> None:
        """Count a fact."""
        fact, wall = recorded.fact, recorded.recorded_at
        self._facts[fact.kind] += 1
        self._time(fact, wall)
        waited = self._consent.waiting
        self._consent = Governance().apply(self._consent, fact)
        if self._consent.waiting is not None and waited is None:
            self._accepted_at = wall
        match fact:
            case CandidateTrained() | SpanFitted():
                self._took(fact, wall)
            case WindowClosed():
                self._measured("anew_drift", "detector", fact.evidence)
            case WindowScored() if self._scored is None or self._scored <= fact.window.end:
                self._scored = fact.window.end
                self._measured("anew_performance", "name", fact.evidence)
                self._last["anew_label_coverage_ratio", ()] = fact.labelled / fact.n if fact.n else 0.0
            case SnapshotTaken() | CandidateMeasured() | SpansCompared() | EffectFailed() if fact.compute_s:
                self._took(fact, wall)
            case TrafficShifted():
                for stage in Stage:
                    self._last["anew_rollout_stage", (("stage", stage.value),)] = float(stage is fact.stage)
                self._last["anew_rollout_challenger_ratio", ()] = fact.share
            case _:
                self._counted(fact)

    def samples(self, now: datetime) -> Iterator[Sample]:
        """Yield everything, as of `now`."""
        own = {"model": self.model}
        for kind, count in sorted(self._facts.items()):
            yield "anew_loop_facts_total", "", own | {"kind": kind}, count
        for numbers in (self._counts, self._last):
            for (family, labels), value in sorted(numbers.items()):
                base, _, suffix = family.partition("/")
                yield base, suffix, own | dict(labels), value
        ages = [(now - since).total_seconds() for _, since in self._pending.values()]
        yield "anew_loop_effects_pending", "", own, len(ages)
        yield "anew_loop_effect_oldest_age_seconds", "", own, max(0.0, *ages, 0.0)
        yield "anew_loop_seen_timestamp_seconds", "", own, now.timestamp()
        total = sum(self._months.values())
        yield "anew_training_compute_seconds_total", "", own, total
        if self.hour:
            yield "anew_training_cost_total", "", own, total / 3600 * self.hour
        for version, seconds in self._runs.items():
            yield "anew_run_compute_seconds", "", own | {"version": version}, seconds
        for month, seconds in sorted(self._months.items()):
            yield "anew_month_compute_seconds", "", own | {"month": month}, seconds
            if self.hour:
                yield "anew_month_cost", "", own | {"month": month}, seconds / 3600 * self.hour
        yield from self._waiting(now, own)

    def _waiting(self, now: datetime, own: Mapping[str, str]) -> Iterator[Sample]:
        waiting = self._consent.waiting
        missing = waiting.asked.needed - len(waiting.signed) if waiting is not None and waiting.asked else 0
        since = self._accepted_at if waiting is not None else None
        yield "anew_approvals_missing", "", own, missing
        yield "anew_approval_age_seconds", "", own, 0.0 if since is None else (now - since).total_seconds()
        yield "anew_frozen", "", own, float(self._consent.frozen is not None)

    def _time(self, fact: Fact, wall: datetime) -> None:
        if fact.ends and fact.cause in self._pending:
            effect, since = self._pending.pop(fact.cause)
            outcome = "failed" if isinstance(fact, EffectFailed) else "done"
            self._count("anew_loop_effects_total", effect=effect, outcome=outcome)
            labels = (("effect", effect),)
            self._counts["anew_loop_effect_duration_seconds/_count", labels] += 1
            spent = {
                "anew_loop_effect_duration_seconds/_sum": max(0.0, (wall - since).total_seconds()),
                "anew_loop_effect_compute_seconds_total": getattr(fact, "compute_s", 0.0),
            }
            for family, seconds in spent.items():
                self._last[family, labels] = seconds + self._last.get((family, labels), 0.0)
        if fact.asks:
            self._pending[fact.id] = (fact.asks, wall)

    def _took(self, fact: _Took, wall: datetime) -> None:
        self._months[f"{wall:%Y-%m}"] += fact.compute_s  # type: ignore[assignment]  # a Counter adds floats as well
        self._runs[fact.version] = self._runs.get(fact.version, 0.0) + fact.compute_s
        while len(self._runs) > _RUNS:
            del self._runs[next(iter(self._runs))]

    def _measured(self, family: str, label: str, evidence: tuple[Evidence, ...]) -> None:
        for each in evidence:
            if each.value is not None:
                self._last[family, ((label, each.name), ("subject", each.subject))] = each.value

    def _counted(self, fact: Fact) -> None:
        match fact:
            case RetrainRequested():
                for trigger in fact.triggers:
                    self._count("anew_trigger_requests_total", trigger=trigger)
            case RetrainWithheld():
                self._count("anew_trigger_withheld_total", reason=fact.reason)
            case RetrainHeld():
                self._count("anew_trigger_withheld_total", reason="freeze")
            case AlertRaised():
                self._count("anew_alerts_total", detector=fact.detector, severity=fact.severity.name.lower())
            case IncidentRaised():
                clock = fact.detector.startswith(f"{_CLOCK} at ")  # each step of the clock bears its instant
                self._count("anew_incidents_total", detector=_CLOCK if clock else fact.detector)
            case GateJudged():
                self._count("anew_gate_verdicts_total", gate=fact.gate, verdict=fact.verdict.name.lower())
            case VersionPromoted():
                self._count("anew_promotions_total")
            case RolledBack():
                self._count("anew_rollbacks_total")

    def _count(self, family: str, *, by: int = 1, **labels: str) -> None:
        self._counts[family, tuple(labels.items())] += by
