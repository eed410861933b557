"""From a version back to what began it, and on to what became of it."""

import pytest

from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import RetrainCommanded, TrainingPlanned, VersionPromoted, WindowClosed, WindowScored
from anew.lineage import FactIndex, causes, history_of, index
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


def test_a_history_has_each_fact_once_and_in_order(facts: FactIndex) -> None:
    order = {id: place for place, id in enumerate(facts)}
    for plan in [each for each in facts.values() if isinstance(each, TrainingPlanned)]:
        places = [order[each.id] for each in history_of(facts, plan.version)]
        assert places == sorted(set(places))


def test_an_unknown_version_is_not_found(facts: FactIndex) -> None:
    with pytest.raises(NotFoundError, match=r"there is no version 'v999'; known are v1, "):
        history_of(facts, "v999")
    with pytest.raises(NotFoundError, match="none yet"):
        history_of(index(()), "v1")
