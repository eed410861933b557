"""What a fact costs the stages does not grow with the number of runs on record."""

import sys
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pytest

from anew.domain.fact import Fact
from anew.domain.facts import TrainingPlanned
from anew.loop.pending import Pending, pending_after
from anew.registry import Registry, RegistryState, Standing
from anew.testing.small_stages import SmallSettings, small_stages
from tests.many_runs import many_runs

SHORT, LONG, MORE = 1_100, 3_300, 20
"""Runs on record; each is more than any stage keeps of a kind. And the runs that are measured after them."""


@dataclass(frozen=True)
class _Pend:
    """The fold of what is under way, as a stage."""

    def initial(self) -> Pending:
        return Pending()

    def apply(self, state: Pending, fact: Fact) -> Pending:
        return pending_after(state, fact)

    def decide(self, _state: Pending, _fact: Fact) -> tuple[Fact, ...]:
        return ()


@dataclass(frozen=True)
class _Cost:
    """What a few runs took: calls of functions, and the bytes that each fact took at most, in sum."""

    calls: int
    size: int

    def grew(self, before: "_Cost") -> bool:
        return self.calls > 1.2 * before.calls or self.size > 1.3 * before.size + 4_000


def costs(stages: Mapping[str, Any], ends: tuple[str, ...]) -> dict[str, tuple[_Cost, _Cost]]:
    """Return what a few runs cost each stage after a short history and after a long one."""
    facts = many_runs(LONG + MORE, ends=ends)
    states = {name: stage.initial() for name, stage in stages.items()}
    found: dict[str, list[_Cost]] = {name: [] for name in stages}
    for before in (SHORT, LONG - SHORT - MORE):
        for fact in until(facts, before):
            states = {name: stage.apply(states[name], fact) for name, stage in stages.items()}
        measured = list(until(facts, MORE))
        for name, stage in stages.items():
            found[name].append(
                _Cost(calls=calls(stage, states[name], measured), size=size(stage, states[name], measured))
            )
            states[name] = reduce(stage.apply, measured, states[name])
    return {name: (first, second) for name, (first, second) in found.items()}


def until(facts: Iterator[Fact], runs: int) -> Iterator[Fact]:
    """Yield the facts of so many runs."""
    for fact in facts:
        yield fact
        runs -= fact.kind == "Ticked"
        if not runs:
            return


def calls(stage: Any, state: Any, facts: Sequence[Fact]) -> int:
    count = 0

    def called(_frame: object, event: str, _what: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        for fact in facts:
            state = stage.apply(state, fact)
            stage.decide(state, fact)
    finally:
        sys.setprofile(before)
    return count


def size(stage: Any, state: Any, facts: Sequence[Fact]) -> int:
    taken = 0
    tracemalloc.start()
    try:
        for fact in facts:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            state = stage.apply(state, fact)
            taken += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return taken


def grown(stages: Mapping[str, Any], ends: tuple[str, ...]) -> dict[str, tuple[_Cost, _Cost]]:
    return {name: (first, second) for name, (first, second) in costs(stages, ends).items() if second.grew(first)}


@pytest.mark.parametrize("ends", [("promoted",), ("back",), ("refused", "held")], ids=" ".join)
def test_a_fact_costs_as_much_after_a_long_history_as_after_a_short_one(ends: tuple[str, ...]) -> None:
    assert not grown({**small_stages(SmallSettings()), "pending": _Pend()}, ends)


@dataclass(frozen=True)
class _Copying:
    """A fault: each plan copies the map of all before it."""

    def initial(self) -> Mapping[str, Fact]:
        return {}

    def apply(self, state: Mapping[str, Fact], fact: Fact) -> Mapping[str, Fact]:
        return {**state, fact.version: fact} if isinstance(fact, TrainingPlanned) else state

    def decide(self, _state: Mapping[str, Fact], _fact: Fact) -> tuple[Fact, ...]:
        return ()


@dataclass(frozen=True)
class _Walking(Registry):
    """A fault: who is asked looks through every version, though nothing is copied."""

    def decide(self, state: RegistryState, fact: Fact) -> tuple[Fact, ...]:
        return super().decide(state, fact) if len(state.standing(*Standing)) else ()


def test_planted_stages_that_copy_or_walk_all_that_was_are_found() -> None:
    assert set(grown({"copies": _Copying(), "walks": _Walking()}, ("refused",))) == {"copies", "walks"}
