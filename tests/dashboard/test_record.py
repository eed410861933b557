"""The record that pages are made from: it keeps what a walk through all facts finds, and no page walks that far."""

import sys
import tracemalloc
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest

from anew.dashboard.asking import Asking
from anew.dashboard.audit import audit_page
from anew.dashboard.hearing import _STANDS_STILL
from anew.dashboard.place import PLACES
from anew.dashboard.record import Record
from anew.dashboard.records import Records
from anew.dashboard.runs import runs_page
from anew.dashboard.spent import seconds_of
from anew.domain.fact import Fact
from anew.domain.facts import FACTS, RolloutObserved, Ticked, WindowScored
from anew.lineage import index, lineage_of
from anew.registry import Registry, Standing
from tests.dashboard.story import TOKENS, ToldSource, story
from tests.laws.telling import Teller, warmed
from tests.many_runs import many_runs

SHORT, LONG = 600, 1_800


def heard(facts: Sequence[Fact]) -> Record:
    return Records().read("", ToldSource(facts), lambda record: record)


def asked(facts: Sequence[Fact], version: str = "", **query: str) -> Asking:
    source, records = ToldSource(facts), Records()
    return Asking(
        record=records.read("", source, lambda record: record),
        records=records,
        source=source,
        who=TOKENS["admin"],
        policy=source.in_force(),
        params={"version": version},
        query=query,
    )


def told(seed: int) -> Sequence[Fact]:
    return Teller().tell(warmed(seed)).facts


@pytest.mark.parametrize(
    "facts", [[], list(many_runs(40)), story("x"), *map(told, range(8))], ids=lambda each: str(len(each))
)
def test_what_is_kept_is_what_a_walk_finds(facts: Sequence[Fact]) -> None:
    record, registry = heard(facts), Registry().initial()
    for fact in facts:
        registry = Registry().apply(registry, fact)
    entries = [fact for fact in facts if not isinstance(fact, Ticked | RolloutObserved)]
    assert [each.version for each in record.versions(0, record.runs)] == list(registry.versions)
    assert record.champion == registry.champion
    assert record.challenger == registry.challenger
    assert [record.version(each) for each in registry.versions] == list(registry.versions.values())
    for each in Standing:
        found, many = record.standing(each, most=1_000)
        assert {one.version for one in found} == {one.version for one in registry.standing(each)}
        assert many == len(found)
        assert record.standing(each, most=2) == (found[-2:], many)
    assert [each.fact for each in record.newest_first()] == entries[::-1]
    kinds = ("WindowScored", "VersionPromoted", "RolledBack")
    newest = [each.fact for each in record.newest_first(*kinds, before=record.head - 5)]
    assert newest == [each for each in facts[: max(0, record.head - 6)] if each.kind in kinds][::-1]
    scored = {each.window.start: each for each in facts if isinstance(each, WindowScored)}
    assert record.scored(1_000) == [scored[start] for start in sorted(scored)]
    assert record.compute_s == sum(seconds_of(each) or 0.0 for each in facts)
    assert list(record.kinds) == sorted({each.kind for each in entries})


@pytest.mark.parametrize("facts", [list(many_runs(40)), *map(told, range(8))], ids=lambda each: str(len(each)))
def test_a_lineage_is_the_same_without_the_ticks_and_looks_that_nothing_followed_from(facts: Sequence[Fact]) -> None:
    record, whole = heard(facts), index(facts)
    planned = whole.planned(1_000)
    assert record.planned(1_000) == planned
    assert [lineage_of(record, each) for each in planned[0]] == [lineage_of(whole, each) for each in planned[0]]


@pytest.mark.parametrize("facts", [list(many_runs(12)), *map(told, range(4))], ids=lambda each: str(len(each)))
def test_a_lineage_finds_the_same_in_a_catalogue_as_in_memory(facts: Sequence[Fact]) -> None:
    record, whole = heard(facts), index(facts)
    for fact in facts:
        assert fact.id in record
        assert record[fact.id] == fact
        assert list(record.led(fact.id)) == list(whole.led(fact.id))
    for version in whole.planned(1_000)[0]:
        assert (record.plan(version), record.trained(version)) == (whole.plan(version), whole.trained(version))
        assert [*record.routing(version)] == [*whole.routing(version)]
        assert [*record.succeeding(version)] == [*whole.succeeding(version)]
        assert [each for each in whole.naming(version) if not isinstance(each, RolloutObserved)] == record.naming(
            version
        )
    assert [record.routed(epoch) for epoch in range(30)] == [whole.routed(epoch) for epoch in range(30)]
    assert record.ordered([*facts[::-3], facts[-1]]) == whole.ordered([*facts[::-3], facts[-1]])
    assert list(record.led("nothing")) == []
    assert ("" in record, "nothing" in record) == (False, False)


@pytest.mark.parametrize("facts", [list(many_runs(40)), *map(told, range(8))], ids=lambda each: str(len(each)))
def test_no_version_stands_elsewhere_by_what_is_not_asked_of_the_registry(facts: Sequence[Fact]) -> None:
    state, still = Registry().initial(), 0
    for fact in facts:
        before, state = state, Registry().apply(state, fact)
        if fact.kind in _STANDS_STILL:
            assert state is before
            still += 1
    assert still > len(facts) / 10
    assert set(FACTS) >= _STANDS_STILL


def test_all_runs_can_be_gone_through() -> None:
    facts, found, before = list(many_runs(120)), list[str](), ""
    while before != "0":
        page = runs_page(asked(facts, before=before))
        found += [each.version for each in page.runs]
        before = str(page.older)
    assert found == [f"v{i}" for i in range(120, 0, -1)]


def test_a_search_goes_on_where_a_page_of_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.dashboard.audit._FAR", 100)
    facts, found, before, pages = list(many_runs(60)), list[str](), "", 0
    while before != "0":
        page = audit_page(asked(facts, text=facts[9].id, before=before))
        found += [each.id for each in page.entries]
        before, pages = str(page.older), pages + 1
    assert found == [facts[9].id]
    assert pages > 5


def steps(build: Callable[[Asking], object], asking: Asking) -> tuple[int, int]:
    """Return how many lines making a page ran, and how many bytes it held at most."""
    count = 0

    def line(_frame: FrameType, event: str, _what: object) -> Any:
        nonlocal count
        count += event == "line"
        return line

    before = sys.gettrace()
    sys.settrace(line)
    try:
        build(asking)
    finally:
        sys.settrace(before)
    tracemalloc.start()
    try:
        build(asking)
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def grew(build: Callable[[Asking], object]) -> bool:
    few, many = (steps(build, asked(list(many_runs(runs)), version=f"v{runs}")) for runs in (SHORT, LONG))
    return many[0] > 1.2 * few[0] + 100 or many[1] > 1.2 * few[1] + 8_000


@pytest.mark.parametrize("place", PLACES, ids=lambda each: each.name)
def test_a_page_costs_as_much_with_many_runs_as_with_few(place: Any) -> None:
    assert not grew(place.build)


@pytest.mark.parametrize(
    "build",
    [
        lambda asking: sum(each.fact.kind == "AlertRaised" for each in asking.record.newest_first()),
        lambda asking: sorted(asking.record.newest_first(), key=id),
    ],
    ids=["walks", "copies"],
)
def test_planted_a_page_that_looks_through_the_record_is_found(build: Callable[[Asking], object]) -> None:
    assert grew(build)
