"""Telling stories to the real engine over a record in memory, and the checks that a record alone does not allow."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from anew.adapters.fact_codec import encode
from anew.adapters.memory import InMemoryEventLog, InMemoryLease, ManualClock
from anew.domain.fact import Fact
from anew.loop.engine import Engine, Stages
from anew.ports.eventlog import EventLog
from anew.testing.simulated_effects import SimulatedEffects
from anew.testing.small_stages import SmallSettings, small_stages
from anew.testing.story import WEIGHTS, Move, Step, Story, story_of
from anew.testing.world import Loop, Told, World

SOAK = int(os.environ.get("ANEW_LAWS_EXAMPLES", "0"))
"""Stories to tell of each law; 0 for the same few everywhere."""

MANY = settings(
    derandomize=not SOAK,
    max_examples=SOAK or 120,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""For laws that tell a story once."""

SOME = settings(MANY, max_examples=-(-SOAK // 5) or 40)
"""For laws that tell a story more than once."""

SETTINGS = SmallSettings()
FIRST = (Move.WINDOW, Move.ANSWER, Move.ANSWER, Move.ANSWER, Move.ANSWER)

_MOVES = tuple(move for move, weight in WEIGHTS.items() for _ in range(weight))
_DRAWN = st.lists(
    st.builds(Step, st.sampled_from(_MOVES), st.integers(0, (1 << 16) - 1)), min_size=60, max_size=140
).map(tuple)
_SEEDED = st.builds(story_of, st.integers(0, (1 << 32) - 1), st.just(140))
stories = st.one_of(_SEEDED, _SEEDED, _DRAWN)
"""Hypothesis draws numbers more often that stand in the modules loaded by then, which differ from run to run: stories
told from a seed get as far in each."""

Opener = Callable[[EventLog], Loop]


@dataclass(slots=True)
class Teller:
    """Tells stories to one kind of engine with one kind of stages."""

    engine: type[Engine] = Engine
    stages: Callable[[], Stages] = lambda: small_stages(SETTINGS)
    faults: bool = True

    def world(self) -> World:
        """Return a world with a new record."""
        clock = ManualClock()
        lease = InMemoryLease(clock)
        grant = lease.acquire("world", 1e9)
        assert grant is not None
        log = InMemoryEventLog(clock=clock, lease=lease)
        return World(log, lambda log: self.engine(self.stages(), log, grant), SimulatedEffects(), faults=self.faults)

    def tell(self, story: Story) -> Told:
        """Tell one story from its beginning to its settled end."""
        return self.world().tell(story)


def warmed(seed: int, length: int = 90) -> Story:
    """Return a drawn story that begins with a first champion."""
    chance = Random(seed)
    begin = tuple(Step(move, 7 * i) for i, move in enumerate(FIRST))
    moves = chance.choices(tuple(WEIGHTS), weights=tuple(WEIGHTS.values()), k=length)
    return (*begin, *(Step(move, chance.randrange(1 << 16)) for move in moves))


def record(told: Told) -> tuple[bytes, ...]:
    """Return the record as it is stored, byte for byte."""
    return tuple(encode(fact) for fact in told.facts)


def folded(facts: Sequence[Fact], stages: Stages) -> Mapping[str, Any]:
    """Fold facts by `apply` alone."""
    states = {name: stage.initial() for name, stage in stages.items()}
    for fact in facts:
        states = {name: stage.apply(states[name], fact) for name, stage in stages.items()}
    return states


def differences(told: Told, stages: Stages) -> Iterator[str]:
    """Yield every transaction after which the engine's states were not those that folding the record gives."""
    states = {name: stage.initial() for name, stage in stages.items()}
    for transaction, live in zip(told.transactions, told.states, strict=True):
        for fact in transaction:
            states = {name: stage.apply(states[name], fact) for name, stage in stages.items()}
        for name, state in states.items():
            if live[name] != state:
                yield f"after {transaction[0].kind} {transaction[0].id} {name} is {live[name]}, the record says {state}"


def stuck(told: Told) -> Iterator[str]:
    """Yield what is still busy when all effects have ended and every rollout has expired."""
    last = told.states[-1]
    if last["trigger"].running:
        yield f"the trigger is still busy with {last['trigger'].version or 'a request'}"
    if last["rollout"].probation is not None:
        yield f"{last['rollout'].probation.challenger[0]} is still on probation"
    if last["train"].runs:
        yield f"runs are still open: {dict(last['train'].runs)}"


@dataclass(slots=True)
class Reach:
    """How often stories came to each of the ends that the laws are about."""

    stories: int = 0
    facts: int = 0
    came: Counter[str] = field(default_factory=Counter)

    def count(self, told: Told) -> None:
        """Count one story."""
        facts = told.facts
        self.stories += 1
        self.facts += len(facts)
        kinds = {fact.kind for fact in facts}
        by_evidence = any(fact.kind == "RolledBack" and getattr(fact, "evidence", ()) for fact in facts)
        self.came.update(
            {
                "promotion": any(getattr(fact, "previous", "") for fact in facts if fact.kind == "VersionPromoted"),
                "rollback": any(_took_off_traffic(transaction) for transaction in told.transactions),
                "rollback by evidence": by_evidence,
                "rejection": "CandidateRefused" in kinds,
                "withheld": "RetrainWithheld" in kinds,
                "failed effect": "EffectFailed" in kinds,
                "order": "TrafficOrdered" in kinds,
                "giving way": "RolloutSuperseded" in kinds,
            }
        )

    def __str__(self) -> str:
        shares = ", ".join(f"{end} {count / max(1, self.stories):.0%}" for end, count in sorted(self.came.items()))
        return f"{self.stories} stories, {self.facts} facts; reached {shares}"


def _took_off_traffic(transaction: Sequence[Fact]) -> bool:
    kinds = [fact.kind for fact in transaction]
    return "RolledBack" in kinds and "TrafficShifted" in kinds
