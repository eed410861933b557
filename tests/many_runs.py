"""A record of as many runs as are asked for, of every end that a run comes to, as the loop would have recorded it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from anew.domain.evidence import Counts, Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    CandidateAccepted,
    CandidateHeld,
    CandidateMeasured,
    CandidateRefused,
    CandidateTrained,
    GateJudged,
    IncidentRaised,
    ProjectChanged,
    RetrainApproved,
    RetrainRequested,
    RolledBack,
    RolloutApproved,
    RolloutObserved,
    RolloutStarted,
    SnapshotTaken,
    Stage,
    Ticked,
    TrafficApplied,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.domain.verdict import Verdict

__all__ = ["ENDS", "many_runs"]

AT = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDS = ("promoted", "refused", "back", "held")
"""What runs come to, in turn."""


def many_runs(runs: int, *, ends: tuple[str, ...] = ENDS, model: str = "m") -> Iterator[Fact]:
    """Yield the facts of `runs` runs, one after each window; the first is promoted."""
    told = _Runs(model)
    yield told.fact(ProjectChanged(model=model, at=AT, settings="5" * 64, code="6" * 64))
    for i in range(runs):
        yield from told.run(i, ends[i % len(ends)] if i else "promoted")


class _Runs:
    """Tells one run after the other; keeps who serves, and the number of the last routing."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.champion = ("", "")
        self.epoch = 0

    def fact(self, made: Fact, cause: str = "") -> Fact:
        return made.caused_by(cause)

    def run(self, i: int, end: str) -> Iterator[Fact]:
        at = AT + (i + 1) * HOUR
        about: dict[str, Any] = {"model": self.model, "at": at, "version": f"v{i + 1}"}
        pair = (f"v{i + 1}", f"{i + 1:064x}")
        window = self.window(i, at)
        yield from window
        *before, trained = self.trained(about, pair, window[-1].id, at)
        yield from before
        yield trained
        yield from self.judged(about, pair, trained, end)
        if end in ("promoted", "back"):
            yield from self.rolled_out(about, pair, trained, end)
        yield self.fact(Ticked(model=self.model, at=at, wall=at, final=at - 48 * HOUR))

    def window(self, i: int, at: datetime) -> list[Fact]:
        seen = (Evidence.of("psi", 0.3, 200, subject="column", p_value=0.01),)
        score = (Evidence.of("slo", 0.1, 180, subject="error", reference=0.3, interval=(0.05, 0.3)),)
        about: dict[str, Any] = {"model": self.model, "at": at, "version": self.champion[0]}
        about["window"] = Interval(start=at - HOUR, end=at)
        closed = self.fact(WindowClosed(**about, n=200, rows="9" * 64, evidence=seen))
        scored = self.fact(WindowScored(**about, n=200, labelled=180, revision=0, evidence=score), closed.id)
        alert = AlertRaised(**about, detector="psi", severity=Severity.MEDIUM, evidence=seen, message="moved")
        found = [closed, scored, self.fact(alert, scored.id)]
        if i % 20 == 10:
            broken = IncidentRaised(**about, detector="quality", evidence=seen, message="broken")
            found.insert(1, self.fact(broken, closed.id))
        return found

    def trained(self, about: dict[str, Any], pair: tuple[str, str], cause: str, at: datetime) -> list[Fact]:
        common: dict[str, Any] = {"model": self.model, "at": at}
        asked = self.fact(
            RetrainRequested(**common, reason="moved", triggers=("drift",), severity=Severity.MEDIUM), cause
        )
        approved = self.fact(RetrainApproved(**common, by="policy"), asked.id)
        span = Interval(start=at - 24 * HOUR, end=at)
        plan = TrainingPlanned(
            **about, champion=self.champion[0], span=span, holdout_share=0.2, seed=1, code="6" * 64, settings="5" * 64
        )
        planned = self.fact(plan, approved.id)
        snapshot = SnapshotTaken(
            **about, champion=self.champion[0], digest="8" * 64, tables=(("labels", 3),), span=span, rows=900,
            holdout_rows=180, seed=1, compute_s=1.0,
        )  # fmt: skip
        taken = self.fact(snapshot, planned.id)
        made = CandidateTrained(
            **about, champion=self.champion[0], digest=pair[1], snapshot="8" * 64, rows=720, compute_s=2.5
        )
        return [asked, approved, planned, taken, self.fact(made, taken.id)]

    def judged(self, about: dict[str, Any], pair: tuple[str, str], trained: Fact, end: str) -> Iterator[Fact]:
        evidence = (Evidence.of("slos", 0.1, 180, subject="error", interval=(0.05, 0.2)),)
        champion = self.champion[0]
        measured = self.fact(
            CandidateMeasured(**about, champion=champion, digest=pair[1], evidence=evidence), trained.id
        )
        yield measured
        verdict = Verdict.PASS if end in ("promoted", "back") else Verdict.FAIL
        for gate in ("slos", "beats_champion"):
            yield self.fact(
                GateJudged(
                    **about, gate=gate, verdict=verdict, required=True, reason="so", evidence=evidence,
                    ask=end == "held",
                ),
                measured.id,
            )  # fmt: skip
        gates: dict[str, Any] = {"gates": ("slos",), "reason": "slos FAIL"}
        answer: Fact
        match end:
            case "refused":
                answer = CandidateRefused(**about, **gates, verdict=Verdict.FAIL)
            case "held":
                answer = CandidateHeld(**about, **gates, champion=champion, digest=pair[1])
            case _:
                answer = CandidateAccepted(**about, champion=champion, digest=pair[1])
        answer = self.fact(answer, measured.id)
        yield answer
        outcome = "refused" if end == "refused" else "held" if end == "held" else "accepted"
        yield self.fact(TrainingEnded(**about, outcome=outcome, detail="", compute_s=3.5), answer.id)

    def rolled_out(self, about: dict[str, Any], pair: tuple[str, str], trained: Fact, end: str) -> Iterator[Fact]:
        champion = self.champion
        approved = self.fact(RolloutApproved(**about, champion=champion[0], digest=pair[1], by="policy"), trained.id)
        yield approved
        yield self.fact(RolloutStarted(**about, digest=pair[1], champion=champion[0]), approved.id)
        if champion[0]:
            yield from self.routed(about["at"], approved.id, Stage.CANARY, champion, pair)
            yield self.look(about)
        if end == "back":
            yield self.fact(RolledBack(**about, to=champion[0], evidence=(), reason="harm"), approved.id)
        else:
            promoted = VersionPromoted(**about, digest=pair[1], previous=champion[0], evidence=(), reason="better")
            yield self.fact(promoted, approved.id)
            self.champion = pair
        yield from self.routed(about["at"], approved.id, Stage.STEADY, self.champion, ("", ""))

    def routed(
        self, at: datetime, cause: str, stage: Stage, champion: tuple[str, str], challenger: tuple[str, str]
    ) -> Iterator[Fact]:
        self.epoch += 1
        share = 0.1 if stage is Stage.CANARY else 0.0
        shifted = self.fact(
            TrafficShifted(
                model=self.model,
                at=at,
                epoch=self.epoch,
                stage=stage,
                share=share,
                champion=champion,
                challenger=challenger,
            ),
            f"{cause}{self.epoch}",
        )
        yield shifted
        yield self.fact(TrafficApplied(model=self.model, at=at, epoch=self.epoch, workers=1), shifted.id)

    def look(self, about: dict[str, Any]) -> Fact:
        counts = Counts(low=0.0, high=1.0, counts=(20, 3))
        losses: dict[str, Any] = {
            "paired_down": counts,
            "paired_up": counts,
            "champion_loss": counts,
            "challenger_loss": counts,
        }
        span = Interval(start=about["at"], end=about["at"] + HOUR)
        return self.fact(RolloutObserved(**about, stage=Stage.CANARY, look=1, span=span, **losses))
