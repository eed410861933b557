"""Choosing a span: two fits, a comparison before the next plan, and plans that go on when either fails."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from anew.domain.blend import Blend
from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    CandidateAccepted,
    CandidateTrained,
    EffectFailed,
    IncidentRaised,
    RetrainApproved,
    SnapshotTaken,
    SourceCapped,
    SpanComparisonAsked,
    SpanFitAsked,
    SpanFitted,
    SpansCompared,
    TrainingEnded,
    TrainingPlanned,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.train import Train, TrainState
from anew.train.auto_span import AutoSpan
from anew.train.since_change import SinceChange
from anew.train.sources import Sources
from anew.train.span import BEGINNING, Span

T0 = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AUTO = Train(span=AutoSpan(window=DAY), holdout_share=0.2)


class Story:
    """A stage that hears facts; what it decides is heard at once, effects end as the test says."""

    def __init__(self, stage: Train = AUTO) -> None:
        self.stage = stage
        self.state: TrainState = stage.initial()
        self.decided: list[Fact] = []

    def hear(self, fact: Fact) -> tuple[Fact, ...]:
        """Hear a fact and all that follows."""
        fact = fact if fact.id else fact.caused_by(fact.cause)
        self.state = self.stage.apply(self.state, fact)
        found = tuple(each.caused_by(fact.id) for each in self.stage.decide(self.state, fact))
        for each in found:
            self.decided.append(each)
            self.hear(each)
        return found

    def last(self, kind: type[Fact]) -> Fact:
        """Return the last decision of a kind."""
        return next(each for each in reversed(self.decided) if isinstance(each, kind))

    @property
    def plan(self) -> TrainingPlanned:
        """Return the last plan."""
        found = self.last(TrainingPlanned)
        assert isinstance(found, TrainingPlanned)
        return found

    def approve(self, day: int, *, corrected: bool = False) -> None:
        """Approve a retrain."""
        self.hear(RetrainApproved(model="m", at=T0 + day * DAY, by="policy", cause=f"r{day}", corrected=corrected))

    def train(self, oldest: int = 0, blend: Blend | None = None, because: str = "") -> None:
        """Take the snapshot of the last plan and train it."""
        plan = self.plan
        start = max(plan.span.start, T0 + oldest * DAY)
        taken = SnapshotTaken(
            model="m", at=plan.at, cause=plan.id, version=plan.version, champion="", digest="rows", tables=(),
            span=Interval(start=start, end=plan.span.end), rows=100, holdout_rows=20, seed=1,
        ).caused_by(plan.id)  # fmt: skip
        self.hear(taken)
        self.hear(
            CandidateTrained(
                model="m",
                at=plan.at,
                cause=taken.id,
                version=plan.version,
                champion="",
                digest=f"d{plan.version}",
                snapshot="rows",
                rows=80,
                compute_s=1.0,
                blend=blend,
                alone_because=because,
            ).caused_by(taken.id)
        )  # fmt: skip

    def fit_beside(self) -> None:
        """End the fit beside the candidate."""
        asked = self.last(SpanFitAsked)
        assert isinstance(asked, SpanFitAsked)
        fitted = SpanFitted(model="m", at=asked.at, version=asked.version, digest="beside", rows=9, compute_s=1.0)
        self.hear(fitted.caused_by(asked.id))

    def end(self) -> None:
        """End the last run."""
        version = self.plan.version
        self.hear(TrainingEnded(model="m", at=T0, version=version, outcome="refused", detail="", compute_s=0.0))

    def accept(self) -> float:
        """Have the gates let the last candidate pass; return what its run is charged with."""
        self.hear(CandidateAccepted(model="m", at=T0, version=self.plan.version, champion="", digest="d"))
        ended = self.last(TrainingEnded)
        assert isinstance(ended, TrainingEnded)
        return ended.compute_s

    def compare(self, *differences: float | None, compute_s: float = 0.0) -> None:
        """End the comparison with so much in each window."""
        asked = self.last(SpanComparisonAsked)
        assert isinstance(asked, SpanComparisonAsked)
        evidence = tuple(
            Evidence.of(
                "span", value, 50, subject=(asked.rows.start + (i + 1) * DAY).isoformat(),
                interval=None if value is None else (value - 0.05, value + 0.05),
            )
            for i, value in enumerate(differences)
        )  # fmt: skip
        compared = SpansCompared(model="m", at=asked.at, version=asked.version, evidence=evidence, compute_s=compute_s)
        self.hear(compared.caused_by(asked.id))


def test_the_first_plan_takes_all_and_fits_nothing_beside() -> None:
    story = Story()
    story.approve(40)
    assert story.plan.span == Interval(start=BEGINNING, end=T0 + 40 * DAY)
    assert (story.plan.beside_s, story.plan.why_span[:3]) == (0.0, "all")
    story.train()
    assert not [each for each in story.decided if isinstance(each, SpanFitAsked)]


def begun(blend: Blend | None = None, because: str = "") -> Story:
    """Return a story with a pair: all forty-five days, and another length beside it."""
    story = Story()
    story.approve(40)
    story.train()
    story.end()
    story.approve(45)
    story.train(blend=blend, because=because)
    return story


BLEND = Blend(alone="alone", beside="beside", weight=0.5, snapshot="s", rows=9)


def test_two_of_whom_nothing_is_known_have_the_same_weight_and_one_that_leads_has_more() -> None:
    story = begun(BLEND)
    assert story.plan.span_weight == 0.5
    story.end()
    story.approve(50)
    story.compare(-0.4, -0.5, -0.4)
    assert 0.6 < story.plan.span_weight < 0.8  # five windows lead, and ten resemble them
    plain = Story()
    plain.approve(40)
    assert (plain.plan.beside_s, plain.plan.span_weight) == (0.0, 1.0)  # there is no second length


def test_broken_rows_before_the_span_are_kept_from_the_second_model_and_from_what_is_rehearsed() -> None:
    window = Interval(start=T0 + 10 * DAY, end=T0 + 11 * DAY)
    broken = IncidentRaised(
        model="m", at=window.end, detector="quality", version="v1", window=window, evidence=(), message="broken"
    )  # fmt: skip
    story = begun(BLEND)
    story.end()
    story.hear(broken)
    story.approve(50)
    story.compare(-0.4, -0.5, -0.4)
    assert story.plan.span.start > window.end
    assert story.plan.beside_s
    assert story.plan.left_out == (window,)
    for rehearsal, left_out in ((0.2, (window,)), (0.0, ())):
        other = Story(Train(span=Span(length=5 * DAY), rehearsal=rehearsal))
        other.hear(broken)
        other.approve(50)
        assert other.plan.left_out == left_out


def test_a_plan_that_repairs_history_or_revives_is_of_one_model() -> None:
    """The rows of the second span are not repaired; a model that is revived is what it was."""
    story = begun()
    story.end()
    story.approve(50, corrected=True)
    assert (story.plan.beside_s > 0, story.plan.span_weight) == (True, 1.0)
    story.end()
    story.hear(RetrainApproved(model="m", at=T0 + 55 * DAY, by="policy", cause="r", revive="v1"))
    assert (story.plan.revive, story.plan.beside_s, story.plan.span_weight) == ("v1", 0.0, 1.0)


def test_the_two_models_of_a_candidate_are_compared_and_none_is_fitted_again() -> None:
    story = begun(BLEND)
    assert not [each for each in story.decided if isinstance(each, SpanFitAsked)]
    story.end()
    story.approve(50)
    asked = story.last(SpanComparisonAsked)
    assert isinstance(asked, SpanComparisonAsked)
    assert (asked.version, asked.candidate, asked.beside) == ("v2", "alone", "beside")
    story.compare(-0.4, -0.5, -0.4)
    assert story.plan.span.start == T0 + 45 * DAY


def test_a_source_with_too_many_of_the_second_models_rows_is_an_alarm() -> None:
    flooded = replace(BLEND, sources=(("mallory", 90, 15), ("crm", 10, 10)))
    for blend, alarms in ((flooded, ["mallory"]), (replace(flooded, weight=1.0), [])):
        story = Story(replace(AUTO, sources=Sources(max_share=0.6)))
        story.approve(40)
        story.train(blend=blend)
        found = [each for each in story.decided if isinstance(each, SourceCapped)]
        assert [each.source for each in found] == alarms


def test_a_fit_beside_that_failed_is_not_asked_for_again() -> None:
    story = begun(because="out of memory")
    assert not [each for each in story.decided if isinstance(each, SpanFitAsked)]
    story.end()
    story.approve(50)
    assert story.plan.version == "v3"  # there is nothing to compare


def test_a_second_length_is_fitted_beside_the_candidate_on_the_same_ground() -> None:
    story = begun()
    plan, asked = story.plan, story.last(SpanFitAsked)
    assert plan.beside_s == 5 * 86_400  # the least like all of them
    assert isinstance(asked, SpanFitAsked)
    assert (asked.version, asked.snapshot, asked.trained_rows, asked.plan) == ("v2", "rows", 80, plan.id)
    assert asked.length_s == pytest.approx(0.8 * plan.beside_s)


def test_both_are_compared_before_the_next_plan_and_the_better_is_taken() -> None:
    story = begun()
    story.fit_beside()
    story.end()
    story.approve(50, corrected=True)
    asked = story.last(SpanComparisonAsked)
    assert isinstance(asked, SpanComparisonAsked)
    assert asked.rows == Interval(start=T0 + 45 * DAY, end=T0 + 50 * DAY)
    assert (asked.candidate, asked.beside, asked.window_s) == ("dv2", "beside", 86_400)
    assert story.plan.version == "v2"  # nothing is planned before the comparison ends
    story.compare(-0.4, -0.5, None, -0.4)
    plan = story.plan
    assert (plan.version, plan.corrected) == ("v3", True)
    assert plan.span.start == T0 + 45 * DAY
    assert plan.why_span.startswith("5 windows")
    # And without the evidence it would not have been.
    without = begun()
    without.fit_beside()
    without.end()
    without.approve(50)
    without.compare(None)
    assert without.plan.span.start == BEGINNING


def test_what_was_compared_is_not_compared_again() -> None:
    story = begun()
    story.fit_beside()
    story.end()
    story.approve(50)
    story.compare(0.1, 0.1)
    story.end()
    story.approve(55)  # v3 was never trained: the pair is the same
    asked = story.last(SpanComparisonAsked)
    assert isinstance(asked, SpanComparisonAsked)
    assert asked.rows == Interval(start=T0 + 47 * DAY, end=T0 + 55 * DAY)
    assert len(story.state.spans.seen) == 2


def test_a_fit_or_a_comparison_that_fails_stops_nothing() -> None:
    unfitted = begun()
    unfitted.end()
    unfitted.approve(50)
    assert unfitted.plan.version == "v3"  # there is nothing to compare
    failed = begun()
    failed.fit_beside()
    failed.end()
    failed.approve(50)
    asked = failed.last(SpanComparisonAsked)
    broken = EffectFailed(
        model="m", at=asked.at, effect="compare_spans", version="v2", reason="oom", detail="killed"
    ).caused_by(asked.id)
    failed.hear(broken)
    assert failed.plan.version == "v3"
    assert failed.state.spans.seen == ()


def test_a_run_is_charged_for_the_comparison_that_it_was_planned_by() -> None:
    story = begun()
    story.fit_beside()
    story.accept()
    story.approve(50)
    story.compare(0.1, compute_s=40.0)
    story.train()
    assert story.accept() == 41.0
    failed = begun()
    failed.fit_beside()
    failed.accept()
    failed.approve(50)
    asked = failed.last(SpanComparisonAsked)
    broken = EffectFailed(
        model="m", at=asked.at, effect="compare_spans", version="v2", reason="oom", detail="killed", compute_s=7.0
    ).caused_by(asked.id)
    failed.hear(broken)
    failed.train()
    assert failed.accept() == 8.0


def test_a_fit_beside_that_ends_after_its_run_counts_in_the_next() -> None:
    story = begun()
    assert story.accept() == 1.0
    story.fit_beside()
    story.approve(50)
    story.compare(0.1)
    story.train()
    assert story.accept() == 2.0


def test_the_seed_is_the_approvals_whether_spans_are_compared_or_not() -> None:
    plain, auto = Story(Train()), begun()
    auto.fit_beside()
    auto.end()
    plain.approve(50)
    auto.approve(50)
    auto.compare(0.1)
    assert auto.plan.seed == plain.plan.seed


def test_since_change_begins_at_the_change_but_never_too_late() -> None:
    story = Story(Train(span=SinceChange(least=5 * DAY)))
    story.approve(10)
    assert story.plan.span.start == BEGINNING
    window = Interval(start=T0 + 20 * DAY, end=T0 + 21 * DAY)
    alert = AlertRaised(
        model="m", at=window.end, detector="psi", version="v1", window=window, severity=Severity.HIGH, evidence=(),
        message="drift", since=T0 + 18 * DAY,
    )  # fmt: skip
    story.hear(replace(alert, cause="w"))
    story.approve(30)
    assert story.plan.span.start == T0 + 18 * DAY
    assert "since the change" in story.plan.why_span
    story.approve(21)
    assert story.plan.span.start == T0 + 16 * DAY
    assert "shortest" in story.plan.why_span


def test_spans_reach_back_from_the_newest_label() -> None:
    auto = AutoSpan(window=DAY, delay=3 * DAY)
    plan = auto.plan(T0, (), T0 + 33 * DAY)
    assert plan.beside == 5 * DAY
    assert auto.plan(T0, (), T0 + 2 * DAY).beside is None  # no label is old enough
    late = SinceChange(least=5 * DAY, delay=3 * DAY)
    assert late.since(T0 + 32 * DAY, T0 + 33 * DAY)[0].start == T0 + 25 * DAY


def test_spans_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvariantError, match="positive"):
        AutoSpan(window=timedelta(0))
    with pytest.raises(InvariantError, match="no rows"):
        SinceChange(least=timedelta(0))
