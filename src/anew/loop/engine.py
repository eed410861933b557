"""The engine: drains facts through the deciders, depth first, and records them in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from anew.domain.errors import ConflictError, InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import OF_THE_WALL
from anew.loop.pending import Pending, pending_after
from anew.ports.decider import Decider, Timed
from anew.ports.eventlog import EventLog, Grant

__all__ = ["DRAIN_LIMIT", "Engine", "Stages"]

DRAIN_LIMIT = 1_000
"""Facts that one fact from outside may lead to; more means that two stages answer each other for ever."""

Stages = Mapping[str, Decider[Any]]
"""The deciders by name, in the order in which they hear a fact; each keeps a state of its own type."""


@dataclass(frozen=True, slots=True)
class _World:
    """All that a fact can change: immutable, so that a failed append leaves nothing behind."""

    states: Mapping[str, Any]
    pending: Pending
    newest: datetime | None = None


class Engine:
    """Feeds facts to the stages and records what they decide. Not thread-safe: one thread submits.

    Draining is depth first: a decision is applied and heard by every stage before the next stage is asked about its
    cause. A trigger that is asked twice thus sees its own first request; breadth first, it asks twice within one
    cooldown.

    Parameters
    ----------
    stages
        The deciders by name.
    log
        The record. What a fact leads to is appended with it in one transaction.
    grant
        The lease's grant under which this engine writes.
    recorded
        Called with the facts of each transaction, after it.
    """

    def __init__(
        self, stages: Stages, log: EventLog, grant: Grant, recorded: Callable[[Sequence[Fact]], None] = lambda _: None
    ) -> None:
        self._stages = stages
        self._log = log
        self._grant = grant
        self._recorded = recorded
        self._world = _World(
            states=MappingProxyType({name: stage.initial() for name, stage in stages.items()}), pending=Pending()
        )
        self._folded = 0
        self._unsure = False

    def recover(self) -> int:
        """Fold what is on record and not folded yet, with `apply` alone; return the number of facts folded."""
        return len(self._caught_up())

    def state(self, name: str) -> Any:
        """Return the present state of the stage called `name`."""
        return self._world.states[name]

    @property
    def states(self) -> Mapping[str, Any]:
        """The present state of every stage."""
        return self._world.states

    @property
    def pending(self) -> Mapping[str, Fact]:
        """Facts that asked for an effect which has not ended, by id, oldest first."""
        return self._world.pending.facts

    @property
    def newest(self) -> datetime | None:
        """The latest event time that any fact on record bears; None before the first."""
        return self._world.newest

    def due(self, wall: datetime) -> bool:
        """Does any stage wait for a tick at `wall`?"""
        states = self._world.states
        return any(stage.due(states[name], wall) for name, stage in self._stages.items() if isinstance(stage, Timed))

    def submit(self, fact: Fact) -> tuple[Fact, ...]:
        """Record `fact` from outside and all that follows from it; return what was recorded.

        Nothing is recorded, and nothing returned, for a fact that is on record already and for the end of an effect
        that has ended already (a late result is fenced off).

        Raises
        ------
        FencedError, UnavailableError
            From the record. Whether it holds the fact may then be unknown: the engine's state is as before, and the
            next call reads back what is on record before it decides anything.
        """
        if self._unsure:
            found = self._caught_up()
            if found:
                self._recorded(found)
        if fact.ends:
            if fact.cause not in self._world.pending.facts:
                return ()
            fact = fact.caused_by(fact.cause)
        elif not fact.id:
            fact = fact.caused_by(fact.cause)
        if self._log.find(fact.id) is not None:
            return ()
        drained = _Drain(self._stages, self._world, self._applied)
        facts = drained.run(fact)
        if len({each.id for each in facts}) != len(facts):
            raise ConflictError(
                f"two facts that follow from {fact.kind} {fact.id} bear one id; give them distinct keys"
            )
        self._unsure = True
        self._log.append(facts, grant=self._grant)
        self._world, self._folded, self._unsure = drained.world, self._folded + len(facts), False
        self._recorded(facts)
        return facts

    def _caught_up(self) -> tuple[Fact, ...]:
        """Fold what is on record after the last fact folded, and return it."""
        facts = []
        for recorded in self._log.read(after=self._folded):
            self._world = self._applied(self._world, recorded.fact)
            self._folded = recorded.seq
            facts.append(recorded.fact)
        self._unsure = False
        return tuple(facts)

    def _applied(self, world: _World, fact: Fact) -> _World:
        states = {name: stage.apply(world.states[name], fact) for name, stage in self._stages.items()}
        newest = world.newest
        if not isinstance(fact, OF_THE_WALL):
            newest = fact.at if newest is None else max(newest, fact.at)
        return _World(states=MappingProxyType(states), pending=pending_after(world.pending, fact), newest=newest)


class _Drain:
    """One depth-first draining of one fact from outside."""

    def __init__(self, stages: Stages, world: _World, applied: Callable[[_World, Fact], _World]) -> None:
        self._stages = stages
        self._applied = applied
        self.world = world

    def run(self, fact: Fact) -> tuple[Fact, ...]:
        """Return `fact` and all that follows from it, in order of being applied.

        Each stage is asked about a fact only when every decision of the stage before it has been drained. A stack of
        our own, since the interpreter's is shorter than the limit.
        """
        drained: list[Fact] = []
        stack: list[Iterator[Fact]] = [iter((fact,))]
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                continue
            if len(drained) == DRAIN_LIMIT:
                last = f"{following.kind} {following.id}"
                raise InvariantError(f"more than {DRAIN_LIMIT} facts follow from one; the last was {last}")
            self.world = self._applied(self.world, following)
            drained.append(following)
            stack.append(self._decided(following))
        return tuple(drained)

    def _decided(self, fact: Fact) -> Iterator[Fact]:
        """Yield what the stages decide on `fact`, each asked when all before it is drained."""
        for name, stage in self._stages.items():
            for decision in stage.decide(self.world.states[name], fact):
                yield decision.caused_by(fact.id)
