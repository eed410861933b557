"""From a version back to what began it, and on to what became of it."""

from datetime import UTC, datetime

import pytest

from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import (
    RetrainCommanded,
    RolledBack,
    RolloutStarted,
    RolloutSuperseded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.lineage import FactIndex, NodeKind, causes, history_of, index, lineage_of
from tests.laws.telling import Teller, warmed


@pytest.fixture(scope="module")
def facts() -> FactIndex:
    """The first record among drawn ones in which a champion was replaced after an alert."""
    for seed in range(500):
        record = index(Teller().tell(warmed(seed)).facts)
        replaced = [each for each in record.values() if isinstance(each, VersionPromoted) and each.previous]
        if replaced and not isinstance(_root(record, replaced[-1].version), RetrainCommanded):
            return record
    raise AssertionError("no story has a champion replaced after an alert")


def _root(facts: FactIndex, version: str) -> Fact:
    plan = next(each for each in facts.values() if isinstance(each, TrainingPlanned) and each.version == version)
    return causes(facts, plan)[-1]


def _replaced(facts: FactIndex) -> VersionPromoted:
    return [each for each in facts.values() if isinstance(each, VersionPromoted) and each.previous][-1]


def test_causes_lead_from_a_fact_to_the_outside(facts: FactIndex) -> None:
    promotion = _replaced(facts)
    plan = next(
        each for each in facts.values() if isinstance(each, TrainingPlanned) and each.version == promotion.version
    )
    chain = causes(facts, plan)
    assert [each.kind for each in chain[:4]] == [
        "TrainingPlanned",
        "RetrainApproved",
        "RetrainRequested",
        "AlertRaised",
    ]
    assert isinstance(chain[-1], WindowClosed | WindowScored)
    assert not chain[-1].cause


def test_causes_stop_where_the_record_was_cut(facts: FactIndex) -> None:
    promotion = _replaced(facts)
    assert causes({}, promotion) == [promotion]


def test_a_history_goes_from_the_window_to_the_promotion(facts: FactIndex) -> None:
    promotion = _replaced(facts)
    history = history_of(facts, promotion.version)
    kinds = [each.kind for each in history]
    assert history[0] is _root(facts, promotion.version)
    milestones = ["TrainingPlanned", "SnapshotTaken", "CandidateTrained", "CandidateAccepted", "RolloutStarted"]
    places = [kinds.index(kind) for kind in (*milestones, "VersionPromoted")]
    assert places == sorted(places)
    assert kinds.count("TrainingPlanned") == 1
    assert promotion in history


def test_a_history_says_who_came_after(facts: FactIndex) -> None:
    promotion = _replaced(facts)
    assert promotion in history_of(facts, promotion.previous)


def test_a_history_says_that_a_version_was_gone_back_to() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    def planned(version: str, champion: str) -> TrainingPlanned:
        return TrainingPlanned(
            model="m", at=at, version=version, champion=champion, span=Interval(start=at, end=at), holdout_share=0.2,
            seed=1, code="6" * 64, settings="5" * 64,
        )  # fmt: skip

    def begun(version: str) -> RolloutStarted:
        return RolloutStarted(model="m", at=at, version=version, digest=version, champion="v1")

    def promoted(version: str, previous: str) -> VersionPromoted:
        return VersionPromoted(
            model="m", at=at, version=version, digest=version, previous=previous, evidence=(), reason="better"
        )

    def gone(version: str) -> RolledBack:
        return RolledBack(model="m", at=at, version=version, to="v1", evidence=(), reason="ann: worse")

    story = [
        planned("v1", ""), begun("v1"), promoted("v1", ""), planned("v2", "v1"), begun("v2"), promoted("v2", "v1"),
        gone("v2"), planned("v3", "v1"), begun("v3"), gone("v3"),
    ]  # fmt: skip
    told = [fact.caused_by(str(number)) for number, fact in enumerate(story)]
    history = history_of(index(told), "v1")
    assert history[-1] is told[6]  # and not that v3, a challenger, was taken back: v1 served all along
    assert [each.kind for each in history] == [each.kind for each in (*story[:3], story[5], story[6])]


def test_a_history_has_each_fact_once_and_in_order(facts: FactIndex) -> None:
    order = {id: place for place, id in enumerate(facts)}
    for plan in [each for each in facts.values() if isinstance(each, TrainingPlanned)]:
        places = [order[each.id] for each in history_of(facts, plan.version)]
        assert places == sorted(set(places))


def test_a_version_that_gave_way_ends_so_in_its_graph() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    plan = TrainingPlanned(
        model="m", at=at, version="v2", champion="v1", span=Interval(start=at, end=at), holdout_share=0.2,
        seed=1, code="6" * 64, settings="5" * 64,
    )  # fmt: skip
    gone = RolloutSuperseded(model="m", at=at, version="v2", by="v3", reason="on probation already")
    told = [plan.caused_by(""), gone.caused_by("somebody's approval")]
    assert lineage_of(index(told), "v2").nodes[told[1].id].kind is NodeKind.OUTCOME


def test_an_unknown_version_is_not_found(facts: FactIndex) -> None:
    with pytest.raises(NotFoundError, match=r"there is no version 'v999'; known are v1, "):
        history_of(facts, "v999")
    with pytest.raises(NotFoundError, match="none yet"):
        history_of(index(()), "v1")
