"""Facts as sentences, for the terminal: one line each."""

from collections.abc import Iterable
from functools import singledispatch

from anew.app.narration_consent import narrate_consent
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    CandidateAccepted,
    CandidateMeasured,
    CandidateRefused,
    CandidateTrained,
    EffectFailed,
    GateJudged,
    GuardrailTripped,
    IncidentRaised,
    Order,
    ProjectChanged,
    QuarantineReleased,
    RetiredScored,
    RetiredScoringAsked,
    RetrainCommanded,
    RetrainRequested,
    RetrainWithheld,
    RollbackCommanded,
    RolledBack,
    RolloutHeld,
    RolloutObserved,
    RolloutResumed,
    RolloutStalled,
    RolloutStarted,
    RolloutSuperseded,
    RowsChecked,
    SnapshotTaken,
    SourceCapped,
    SourcePurged,
    SpanComparisonAsked,
    SpanFitAsked,
    SpanFitted,
    SpansCompared,
    Stage,
    SubjectPurgeAsked,
    SubjectPurged,
    Ticked,
    TrafficApplied,
    TrafficOrdered,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionArchived,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval

__all__ = ["narrate", "write_evidence"]


def write_evidence(evidence: Iterable[Evidence]) -> str:
    """Write measured numbers with their size and uncertainty, or why there are none."""
    return "; ".join(_written(each) for each in evidence) or "nothing measured"


def _written(each: Evidence) -> str:
    interval = f" ({each.low:.4g} to {each.high:.4g})" if each.low is not None and each.high is not None else ""
    return _sized(each, interval)


def _with_error(each: Evidence, beside: str = "") -> str:
    """Write a number of which `high` lies one standard error above it; where that is 0 it has none."""
    error = each.high - each.value if each.high is not None and each.value is not None else 0.0
    return _sized(each, f" (± {error:.2g}{beside})" if error > 0 else "")


def _sized(each: Evidence, uncertainty: str) -> str:
    name = f"{each.name} {each.subject}".strip()
    return f"{name} {each.value:.4g}{uncertainty}, n = {each.n}" if each.measured else f"{name}: {each.problem}"


def _span(interval: Interval) -> str:
    return f"{interval.start:%Y-%m-%d %H:%M} to {interval.end:%Y-%m-%d %H:%M}"


def narrate(fact: Fact) -> str:
    """Say in one line what `fact` records, whatever people and programs wrote into it."""
    return " ".join(_told(fact).splitlines())


@singledispatch
def _told(fact: Fact) -> str:
    return narrate_consent(fact)


@_told.register
def _(fact: Ticked) -> str:
    return f"event time is {fact.at:%Y-%m-%d %H:%M}"


@_told.register
def _(fact: ProjectChanged) -> str:
    return f"project read: settings {fact.settings[:12]}, code {fact.code[:12]}"


@_told.register
def _(fact: RetrainCommanded) -> str:
    return f"retrain asked for by {fact.by}: {fact.reason}"


@_told.register
def _(fact: RollbackCommanded) -> str:
    return f"rollback asked for by {fact.by}: {fact.reason}"


@_told.register
def _(fact: QuarantineReleased) -> str:
    return f"{fact.version} released from quarantine by {fact.by}: {fact.reason}"


@_told.register
def _(fact: VersionArchived) -> str:
    return f"{fact.version} archived by {fact.by}, its artifact {fact.digest[:12]} deleted: {fact.reason}"


@_told.register
def _(fact: WindowClosed) -> str:
    return f"window {_span(fact.window)} closed: {fact.n} predictions"


@_told.register
def _(fact: WindowScored) -> str:
    again = f" again (revision {fact.revision})" if fact.revision else ""
    labelled = f"{fact.labelled} of {fact.n} labelled"
    return f"window {_span(fact.window)} scored{again}, {labelled}: {write_evidence(fact.evidence)}"


@_told.register
def _(fact: RowsChecked) -> str:
    return f"{fact.n} new rows in {_span(fact.window)}: {write_evidence(fact.evidence)}"


@_told.register
def _(fact: IncidentRaised) -> str:
    return f"incident in {_span(fact.window)} ({fact.detector}): {fact.message}"


@_told.register
def _(fact: AlertRaised) -> str:
    since = f", since {fact.since:%Y-%m-%d %H:%M}" if fact.since and fact.since < fact.window.start else ""
    return f"alert {fact.severity.name} in {_span(fact.window)}{since}: {fact.message}"


@_told.register
def _(fact: RetrainRequested) -> str:
    numbers = ", ".join(f"{name} {value}" for name, value in fact.considered)
    return f"retrain requested ({', '.join(fact.triggers)}): {fact.reason} [{numbers}]"


@_told.register
def _(fact: RetrainWithheld) -> str:
    return f"retrain withheld ({fact.reason}): {fact.detail}"


@_told.register
def _(fact: TrainingPlanned) -> str:
    start = "the beginning" if fact.span.start.year <= 1970 else f"{fact.span.start:%Y-%m-%d %H:%M}"
    why = f" ({fact.why_span})" if fact.why_span else ""
    without = f", without {', '.join(fact.purged)}" if fact.purged else ""
    bounds = [f"{n} rows at {word}" for n, word in ((fact.holdout_most, "most"), (fact.holdout_least, "least")) if n]
    enough = f" ({', '.join(bounds)})" if bounds else ""
    whose = f" of those labelled by {' or '.join(fact.holdout_sources)}" if fact.holdout_sources else ""
    return (
        f"{fact.version} planned: rows from {start} to {fact.span.end:%Y-%m-%d %H:%M}{why}{without}, "
        f"newest {fact.holdout_share:.0%}{whose} held out{enough}, seed {fact.seed}"
    )


@_told.register
def _(fact: SnapshotTaken) -> str:
    tables = ", ".join(f"{table} at {version}" for table, version in fact.tables)
    rehearsed = f", {fact.rehearsed} of them rehearsed" if fact.rehearsed else ""
    return (
        f"{fact.version} snapshot {fact.digest[:12]}: {fact.rows} rows{rehearsed}, {fact.holdout_rows} held out "
        f"({tables})"
    )


@_told.register
def _(fact: SourceCapped) -> str:
    return (
        f"ALARM: {fact.share:.0%} of the rows for {fact.version} are labelled by {fact.source or '(no name)'}; at most "
        f"{fact.at_most:.0%} may be: {fact.kept} of {fact.rows} kept, none of them held out"
    )


@_told.register
def _(fact: RetiredScoringAsked) -> str:
    retired = ", ".join(name for name, _ in fact.versions[1:]) or "no retired version"
    return f"what {fact.version} lost in {_span(fact.window)} is to be compared with {retired}"


@_told.register
def _(fact: RetiredScored) -> str:
    told = "; ".join(_with_error(each, " beside the champion") for each in fact.evidence) or "nothing measured"
    return f"{_span(fact.window)}: mean losses of {told}"


@_told.register
def _(fact: SpanFitAsked) -> str:
    return f"a span of {fact.length_s / 86_400:.3g} days is to be fitted beside {fact.version}"


@_told.register
def _(fact: SpanFitted) -> str:
    return f"fitted beside {fact.version} on {fact.rows} rows in {fact.compute_s:.1f} s: artifact {fact.digest[:12]}"


@_told.register
def _(fact: SpanComparisonAsked) -> str:
    return f"the two spans of {fact.version} are to be compared on what came since {_span(fact.rows)}"


@_told.register
def _(fact: SpansCompared) -> str:
    took = f" (in {fact.compute_s:.1f} s)" if fact.compute_s else ""
    told = "; ".join(_with_error(each) for each in fact.evidence) or "nothing measured"
    return f"the span beside {fact.version} lost more by: {told}{took}"


@_told.register
def _(fact: SubjectPurgeAsked) -> str:
    return f"{fact.by} asked for a subject's rows to be erased: {fact.reason}"


@_told.register
def _(fact: SubjectPurged) -> str:
    rows = ", ".join(f"{n} {table}" for table, n in fact.rows)
    gone = f"; with them the snapshots {', '.join(each[:12] for each in fact.snapshots)}" if fact.snapshots else ""
    return f"a subject's rows were erased: {rows}{gone}"


@_told.register
def _(fact: SourcePurged) -> str:
    return f"source {fact.source} purged by {fact.by}: {fact.reason}; nothing is learned from it from now on"


@_told.register
def _(fact: CandidateTrained) -> str:
    changed = " with changes that are in no commit" if fact.dirty else ""
    code = f", code of commit {fact.commit[:12]}{changed}" if fact.commit else ""
    pair, why = fact.both, f", one model alone: {fact.alone_because}" if fact.alone_because else ""
    both = ""
    if pair is not None:
        both = f", and for {1 - pair.weight:.0%} of its answer on {pair.rows} rows of another span,"
    return (
        f"{fact.version} trained on {fact.rows} rows{both} in {fact.compute_s:.1f} s: artifact {fact.digest[:12]}{code}"
        f"{why}"
    )


@_told.register
def _(fact: EffectFailed) -> str:
    return f"{fact.effect} of {fact.version or 'the routing'} failed ({fact.reason}): {fact.detail}"


@_told.register
def _(fact: TrainingEnded) -> str:
    return f"run of {fact.version} ended: {fact.outcome} ({fact.detail})"


@_told.register
def _(fact: CandidateMeasured) -> str:
    return f"{fact.version} measured on held-out rows"


@_told.register
def _(fact: GateJudged) -> str:
    weight = " (asks)" if fact.ask else "" if fact.required else " (advisory)"
    return f"gate {fact.gate}{weight} on {fact.version}: {fact.verdict.name}, {fact.reason}"


@_told.register
def _(fact: CandidateAccepted) -> str:
    return f"{fact.version} accepted: each required gate passed or was signed for"


@_told.register
def _(fact: CandidateRefused) -> str:
    return f"{fact.version} refused ({fact.verdict.name}): {fact.reason}"


@_told.register
def _(fact: RolloutStarted) -> str:
    return f"rollout of {fact.version} starts beside {fact.champion or 'nobody'}"


@_told.register
def _(fact: TrafficShifted) -> str:
    if fact.stage is Stage.STEADY:
        return f"traffic: all to {fact.champion[0]} (epoch {fact.epoch}, fallback {fact.fallback[0] or 'none'})"
    if fact.arms:
        arms = ", ".join(f"{arm.version} {arm.share:.0%}" for arm in fact.arms)
        return f"traffic: {arms} on trial beside {fact.champion[0]} (epoch {fact.epoch})"
    share = f"{fact.stage} at {fact.share:.0%}" if fact.share else str(fact.stage)
    return f"traffic: {fact.challenger[0]} in {share} beside {fact.champion[0]} (epoch {fact.epoch})"


@_told.register
def _(fact: TrafficApplied) -> str:
    if not fact.workers:
        return f"traffic of epoch {fact.epoch} is published; no gateway worker runs yet"
    workers = "1 gateway worker" if fact.workers == 1 else f"{fact.workers} gateway workers"
    return f"traffic of epoch {fact.epoch} is in force at {workers}"


@_told.register
def _(fact: RolloutObserved) -> str:
    return f"look {fact.look} at {fact.version} in {fact.stage}: {fact.paired_down.n} paired labels"


@_told.register
def _(fact: GuardrailTripped) -> str:
    return f"guardrail {fact.guardrail} tripped by {fact.version}: {fact.reason}"


@_told.register
def _(fact: RolloutHeld) -> str:
    return f"rollout of {fact.version} held: {fact.reason}"


@_told.register
def _(fact: TrafficOrdered) -> str:
    named = ", ".join(each.version for each in fact.challengers) or fact.version
    ends = fact.trial and fact.action in (Order.ABORT, Order.ROLLBACK)  # it names none of the arms any more but one
    whom = f"the trial with {fact.version}" if ends else named
    about = f"{fact.action} of {whom} ordered at the gateways by {fact.by}"
    return f"{about} (epoch {fact.epoch}, {fact.champion[0]} serves): {fact.reason}"


@_told.register
def _(fact: RolloutResumed) -> str:
    return f"rollout of {fact.version} goes on: {fact.reason}"


@_told.register
def _(fact: RolloutStalled) -> str:
    return f"rollout of {fact.version} is going nowhere, a later candidate may take its place: {fact.reason}"


@_told.register
def _(fact: RolloutSuperseded) -> str:
    return f"{fact.version} gives way to {fact.by or 'nobody'}: {fact.reason}"


@_told.register
def _(fact: VersionPromoted) -> str:
    return f"{fact.version} promoted over {fact.previous or 'nobody'}: {fact.reason}"


@_told.register
def _(fact: RolledBack) -> str:
    return f"{fact.version} rolled back to {fact.to or 'nobody'}: {fact.reason}"
