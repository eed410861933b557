"""The engine: drains facts through the deciders, depth first, and records them in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from anew.domain.errors import ConflictError, InvariantError
from anew.domain.fact import Fact
from anew.loop.pending import Pending, pending_after
from anew.ports.decider import Decider
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

    def recover(self) -> int:
        """Fold the whole record with `apply` alone, and return the number of facts folded."""
        count = 0
        for count, recorded in enumerate(self._log.read(), 1):  # noqa: B007  the count is what is returned
            self._world = self._applied(self._world, recorded.fact)
        return count

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

    def submit(self, fact: Fact) -> tuple[Fact, ...]:
        """Record `fact` from outside and all that follows from it; return what was recorded.

        Nothing is recorded, and nothing returned, for a fact that is on record already and for the end of an effect
        that has ended already (a late result is fenced off).

        Raises
        ------
        FencedError, UnavailableError
            From the record; the engine's state is then as before.
        """
        if fact.ends:
            if fact.cause not in self._world.pending.facts:
                return ()
            fact = fact.caused_by(fact.cause)
        elif not fact.id:
            fact = fact.caused_by(fact.cause)
        if self._log.find(fact.id) is not None:
            return ()
        drained = _Drain(self._stages, self._world, self._applied)
        facts = tuple(drained.run(fact))
        if len({each.id for each in facts}) != len(facts):
            raise ConflictError(
                f"two facts that follow from {fact.kind} {fact.id} bear one id; give them distinct keys"
            )
        self._log.append(facts, grant=self._grant)
        self._world = drained.world
        self._recorded(facts)
        return facts

    def _applied(self, world: _World, fact: Fact) -> _World:
        states = {name: stage.apply(world.states[name], fact) for name, stage in self._stages.items()}
        return _World(states=MappingProxyType(states), pending=pending_after(world.pending, fact))


class _Drain:
    """One depth-first draining of one fact from outside."""

    def __init__(self, stages: Stages, world: _World, applied: Callable[[_World, Fact], _World]) -> None:
        self._stages = stages
        self._applied = applied
        self.world = world
        self._drained = 0

    def run(self, fact: Fact) -> Iterator[Fact]:
        """Apply `fact`, then let each stage decide on it, draining every decision before the next stage is asked."""
        self._drained += 1
        if self._drained > DRAIN_LIMIT:
            raise InvariantError(f"more than {DRAIN_LIMIT} facts follow from one; the last was {fact.kind} {fact.id}")
        self.world = self._applied(self.world, fact)
        yield fact
        for name, stage in self._stages.items():
            for decision in stage.decide(self.world.states[name], fact):
                yield from self.run(decision.caused_by(fact.id))
