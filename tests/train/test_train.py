"""Plans that can be repeated, and an end for every run."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateAccepted,
    CandidateMeasured,
    CandidateRefused,
    CandidateTrained,
    EffectFailed,
    IncidentRaised,
    ProjectChanged,
    RetrainApproved,
    RolledBack,
    SnapshotTaken,
    SourceCapped,
    SourcePurged,
    SpanFitted,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
)
from anew.domain.interval import Interval
from anew.domain.verdict import Verdict
from anew.train import Train, TrainState
from anew.train.sources import NAMED_SOURCES, Sources
from anew.train.span import Span

T0 = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def approved(name: str = "approved", day: int = 0) -> RetrainApproved:
    return RetrainApproved(model="m", at=T0 + day * DAY, id=name, by="policy")


def failed(cause: str, effect: str) -> EffectFailed:
    return EffectFailed(model="m", at=T0, cause=cause, effect=effect, version="v1", reason="oom", detail="killed")


def snapshot() -> SnapshotTaken:
    return SnapshotTaken(
        model="m",
        at=T0,
        id="snapshot",
        cause="plan",
        version="v1",
        champion="",
        digest="d",
        tables=(),
        span=Interval(start=T0, end=T0),
        rows=10,
        holdout_rows=1,
        seed=1,
    )


def trained() -> CandidateTrained:
    return CandidateTrained(
        model="m",
        at=T0,
        id="trained",
        cause="snapshot",
        version="v1",
        champion="",
        digest="d1",
        snapshot="d",
        rows=9,
        compute_s=2.5,
    )


ACCEPTED = CandidateAccepted(model="m", at=T0, version="v1", champion="", digest="d1")
REFUSED = CandidateRefused(model="m", at=T0, version="v1", verdict=Verdict.FAIL, gates=("slos",), reason="bad")


def heard(facts: list[Fact], stage: Train | None = None) -> tuple[TrainState, list[Fact]]:
    stage = stage or Train()
    state, decided = stage.initial(), []
    for fact in facts:
        state = stage.apply(state, fact)
        for decision in stage.decide(state, fact):
            named = decision.caused_by(fact.id)
            if isinstance(decision, TrainingPlanned) and decision.version == "v1":
                named = TrainingPlanned(**{name: getattr(decision, name) for name in PLAN}, id="plan", cause=fact.id)
            state = stage.apply(state, named)
            decided.append(named)
    return state, decided


PLAN = (
    "model", "at", "version", "champion", "span", "holdout_share", "seed", "code", "settings", "max_source_share",
    "uncapped_sources", "holdout_sources",
)  # fmt: skip


def test_a_plan_fixes_all_that_a_run_needs() -> None:
    changed = ProjectChanged(model="m", at=T0, settings="s1", code="c1")
    stage = Train(span=Span(length=30 * DAY), holdout_share=0.2)
    promoted = VersionPromoted(model="m", at=T0, version="v7", digest="d", previous="", evidence=(), reason="")
    _, (plan,) = heard([changed, promoted, approved(day=90)], stage)
    assert isinstance(plan, TrainingPlanned)
    assert (plan.version, plan.champion, plan.code, plan.settings) == ("v1", "v7", "c1", "s1")
    assert plan.span == Interval(start=T0 + 60 * DAY, end=T0 + 90 * DAY)
    assert plan.holdout_share == 0.2


def test_what_gates_need_is_held_out_for_those_that_face_a_champion() -> None:
    stage = Train(holdout_least=100)
    promoted = VersionPromoted(model="m", at=T0, version="v7", digest="d", previous="", evidence=(), reason="")
    plans = [stage.decide(state, approved("a")) for state in (stage.initial(), stage.apply(stage.initial(), promoted))]
    assert [plan.holdout_least for (plan,) in plans if isinstance(plan, TrainingPlanned)] == [0, 100]


def test_seeds_follow_from_the_approval_and_differ() -> None:
    plans = [heard([approved(name)])[1][0] for name in ("a", "a", "b")]
    seeds = [plan.seed for plan in plans if isinstance(plan, TrainingPlanned)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert all(0 <= seed < 1 << 31 for seed in seeds)


def test_versions_are_counted_and_never_named_twice() -> None:
    _, decided = heard([approved("a"), failed("plan", "snapshot"), approved("b")])
    assert [fact.version for fact in decided if isinstance(fact, TrainingPlanned)] == ["v1", "v2"]


@pytest.mark.parametrize(
    ("rest", "outcome", "compute_s"),
    [
        ([failed("plan", "snapshot")], "failed", 0.0),
        ([snapshot(), failed("snapshot", "train")], "failed", 0.0),
        ([snapshot(), trained(), ACCEPTED], "accepted", 2.5),
        ([snapshot(), trained(), REFUSED], "refused", 2.5),
        ([snapshot(), trained(), failed("trained", "measure")], None, 0.0),
        ([snapshot(), failed("plan", "snapshot")], None, 0.0),
        ([failed("unknown", "train")], None, 0.0),
    ],
    ids=["no snapshot", "no model", "accepted", "refused", "the gates' affair", "late", "of nobody"],
)
def test_every_run_ends_once(rest: list[Fact], outcome: str | None, compute_s: float) -> None:
    late = [ACCEPTED if outcome == "refused" else failed("plan", "train")] if outcome else []
    state, decided = heard([approved(), *rest, *late])
    ends = [fact for fact in decided if isinstance(fact, TrainingEnded)]
    assert [(end.version, end.outcome, end.compute_s) for end in ends] == (
        [("v1", outcome, compute_s)] if outcome else []
    )
    assert state.is_running("v1") is (outcome is None)


def test_a_failure_says_why() -> None:
    _, decided = heard([approved(), failed("plan", "snapshot")])
    assert isinstance(decided[-1], TrainingEnded)
    assert decided[-1].detail == "oom: killed"


@pytest.mark.parametrize(("to", "champion"), [("v3", "v3"), ("", "v7")])
def test_the_champion_is_the_one_that_serves(to: str, champion: str) -> None:
    promoted = VersionPromoted(model="m", at=T0, version="v7", digest="d", previous="", evidence=(), reason="")
    back = RolledBack(model="m", at=T0, version="v7", to=to, evidence=(), reason="")
    assert heard([promoted, back])[0].champion == champion


@pytest.mark.parametrize(
    ("length", "start"),
    [
        (None, datetime(1970, 1, 1, tzinfo=UTC)),
        (30 * DAY, T0 - 30 * DAY),
        (timedelta(days=99_999), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_span(length: timedelta | None, start: datetime) -> None:
    assert Span(length=length).before(T0) == Interval(start=start, end=T0)


def test_a_span_without_length_is_refused() -> None:
    with pytest.raises(InvariantError):
        Span(length=timedelta(0))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_without_a_hold_out_nothing_can_be_proved(share: float) -> None:
    with pytest.raises(InvariantError):
        Train(holdout_share=share)


@pytest.mark.fault("A1")
def test_a_flooding_source_is_named() -> None:
    stage = Train(sources=Sources(max_share=0.2))
    sources = (("mallory", 900, 25), ("ada", 60, 60), ("bob", 40, 40))
    _, decided = heard([approved(), replace(snapshot(), sources=sources)], stage)
    (alarm,) = [fact for fact in decided if isinstance(fact, SourceCapped)]
    assert (alarm.version, alarm.source, alarm.rows, alarm.kept) == ("v1", "mallory", 900, 25)
    assert (alarm.share, alarm.at_most) == (0.9, 0.2)


def test_no_alarm_without_a_cap_or_within_it() -> None:
    sources = (("mallory", 900, 900), ("ada", 100, 90))
    trusted = Sources(max_share=0.5, uncapped=("mallory",), holdout=("ada",))
    left_out = (("mallory", 900, 800), ("ada", 100, 100))  # as new as what ada's rows judge on
    many = (*((f"s{i}", 2, 2) for i in range(NAMED_SOURCES)), ("", 900, 800))
    for cap, came in (
        (Sources(), sources),
        (Sources(max_share=0.95), sources),
        (trusted, left_out),
        (Sources(max_share=0.3, holdout=("ada",)), many),
    ):
        _, decided = heard([approved(), replace(snapshot(), sources=came)], Train(sources=cap))
        assert not [fact for fact in decided if isinstance(fact, SourceCapped)]


@pytest.mark.fault("A4")
def test_a_purged_source_is_in_every_later_plan_and_in_none_before() -> None:
    purged = SourcePurged(model="m", at=T0, command="c", source="mallory", by="ada", reason="wrong labels")
    _, decided = heard([approved("a"), failed("plan", "snapshot"), purged, purged, approved("b")])
    plans = [fact for fact in decided if isinstance(fact, TrainingPlanned)]
    assert [plan.purged for plan in plans] == [(), ("mallory",)]


def test_the_plan_says_what_is_rehearsed_capped_and_held_out() -> None:
    stage = Train(rehearsal=0.2, sources=Sources(max_share=0.3, uncapped=("history",), holdout=("audit",)))
    state = stage.initial()
    (plan,) = stage.decide(state, approved())
    assert isinstance(plan, TrainingPlanned)
    assert (plan.rehearsal, plan.max_source_share, plan.uncapped_sources) == (0.2, 0.3, ("history",))
    assert plan.holdout_sources == ("audit",)
    with pytest.raises(InvariantError, match="rehearsal"):
        Train(rehearsal=1.0)
    with pytest.raises(InvariantError, match="share"):
        Sources(max_share=0.0)


def test_a_run_is_charged_for_its_fit_the_fit_beside_and_its_gates() -> None:
    beside = SpanFitted(model="m", at=T0, cause="c", version="v1", digest="e", rows=5, compute_s=2.0)
    measured = CandidateMeasured(
        model="m", at=T0, cause="c", version="v1", champion="", digest="d", evidence=(), compute_s=0.5
    )
    fit = trained()
    _, decided = heard([approved(), snapshot(), fit, beside, measured, ACCEPTED])
    (end,) = (each for each in decided if isinstance(each, TrainingEnded))
    assert end.compute_s == fit.compute_s + 2.5


def test_a_run_that_came_to_nothing_is_charged_for_what_it_took() -> None:
    crashed = replace(failed("snapshot", "train"), compute_s=3600.0)
    _, decided = heard([approved(), snapshot(), crashed])
    (end,) = (each for each in decided if isinstance(each, TrainingEnded))
    assert (end.outcome, end.compute_s) == ("failed", 3600.0)
    beside = replace(failed("beside", "fit_span"), compute_s=60.0)
    _, decided = heard([approved(), snapshot(), trained(), beside, ACCEPTED])
    (end,) = (each for each in decided if isinstance(each, TrainingEnded))
    assert end.compute_s == trained().compute_s + 60.0


def test_what_mended_history_is_charged() -> None:
    mended = replace(snapshot(), compute_s=30.0)
    _, decided = heard([approved(), mended, trained(), ACCEPTED])
    (end,) = (each for each in decided if isinstance(each, TrainingEnded))
    assert end.compute_s == trained().compute_s + 30.0


@given(
    broken=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=12),
    span=st.tuples(st.integers(0, 40), st.integers(1, 20)),
)
def test_a_plan_leaves_out_what_was_broken_in_its_span_those_that_touch_as_one(
    broken: list[tuple[int, int]], span: tuple[int, int]
) -> None:
    train = Train(span=Span(length=span[1] * DAY))
    state = train.initial()
    for start, days in broken:
        window = Interval(start=T0 + start * DAY, end=T0 + (start + days) * DAY)
        found = IncidentRaised(model="m", at=T0, detector="d", version="v1", window=window, evidence=(), message="")
        state = train.apply(state, found)
    joined: list[Interval] = []
    for start, days in sorted(broken):
        window = Interval(start=T0 + start * DAY, end=T0 + (start + days) * DAY)
        if joined and window.start <= joined[-1].end:
            joined[-1] = Interval(start=joined[-1].start, end=max(joined[-1].end, window.end))
        else:
            joined.append(window)
    assert state.broken == tuple(joined)
    (plan,) = train.decide(state, approved(day=span[0]))
    assert isinstance(plan, TrainingPlanned)
    within = [each for each in joined if each.start < plan.span.end and plan.span.start < each.end]
    assert plan.left_out == tuple(within)
