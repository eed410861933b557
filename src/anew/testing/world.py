"""A simulated world around a loop: tells it a story, with every kind of trouble that comes from outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

from anew.domain.errors import UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained, Ticked
from anew.ports.eventlog import EventLog
from anew.testing.faulty_log import Crashed, FaultyLog, LogFault
from anew.testing.outside import Outside
from anew.testing.simulated_effects import SimulatedEffects
from anew.testing.story import Move, Step, Story

__all__ = ["MODEL", "Loop", "Told", "World"]

MODEL = "world"
_BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)


class Loop(Protocol):
    """What a world asks of an engine."""

    def recover(self) -> int:
        """Fold the record."""
        ...

    def submit(self, fact: Fact) -> tuple[Fact, ...]:
        """Record a fact and what follows; return what was recorded."""
        ...

    def state(self, name: str) -> Any:
        """Return the present state of a stage."""
        ...

    @property
    def states(self) -> Mapping[str, Any]:
        """The present state of every stage."""
        ...

    @property
    def pending(self) -> Mapping[str, Fact]:
        """Facts that asked for an effect which has not ended, by id, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """A story that was told.

    Attributes
    ----------
    transactions
        What was recorded, one entry for each append.
    states
        The engine's states after each of them.
    wrong
        What the world itself saw going wrong while it told.
    """

    transactions: tuple[tuple[Fact, ...], ...]
    states: tuple[Mapping[str, Any], ...]
    wrong: tuple[str, ...]

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The whole record, in order."""
        return tuple(fact for transaction in self.transactions for fact in transaction)


@dataclass(slots=True)
class _Seen:
    outside: list[Fact] = field(default_factory=list)
    answers: list[Fact] = field(default_factory=list)
    transactions: list[tuple[Fact, ...]] = field(default_factory=list)
    states: list[Mapping[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class World:
    """Tells one story to one loop.

    Parameters
    ----------
    log
        An empty record; the world puts faults in front of it.
    open_loop
        Makes a new loop over the record that it is given, as a new process would; `recover` is called on it.
    effects
        Who answers what the loop asks for.
    faults
        Do crashes and failing appends happen? Without them the same facts come from outside, and nothing is lost.
    """

    def __init__(
        self,
        log: EventLog,
        open_loop: Callable[[EventLog], Loop],
        effects: SimulatedEffects | None = None,
        *,
        faults: bool = True,
    ) -> None:
        self._log = FaultyLog(log)
        self._open = open_loop
        self._faults = faults
        self._effects = effects or SimulatedEffects()
        self._outside = Outside(MODEL, _BEGINNING, self._effects)
        self._seen = _Seen()
        self.loop = self._opened()

    def tell(self, story: Story) -> Told:
        """Tell the story, then let all that is pending end and every rollout expire."""
        for step in story:
            self.step(step)
        self.settle()
        return self.told

    @property
    def told(self) -> Told:
        """What was told so far."""
        seen = self._seen
        return Told(tuple(seen.transactions), tuple(seen.states), tuple(seen.wrong))

    def step(self, step: Step) -> None:
        """Make one move."""
        chance = Random(step.draw)  # noqa: S311  drawn, not kept secret
        match step.move:
            case Move.ANSWER | Move.FAIL | Move.SPOIL:
                self._end(step.move, chance)
            case Move.LATE:
                self._again(self._seen.answers, chance)
            case Move.REPEAT:
                self._again(self._seen.outside, chance)
            case Move.CRASH:
                self._crash(chance)
            case _:
                for fact in self._outside.facts(step.move, chance, self.loop.states, self._log):
                    self._from_outside(fact)

    def settle(self) -> None:
        """Let everything that was asked for end, and every rollout expire for want of labels."""
        chance = Random(0)  # noqa: S311  drawn, not kept secret
        for _ in range(3):
            self._drain(chance)
            self._submit(self._tick(timedelta(days=400)))
        self._drain(chance)

    def _drain(self, chance: Random) -> None:
        for _ in range(100):
            if not self.loop.pending:
                return
            self._end(Move.ANSWER, chance)
        self._seen.wrong.append(f"effects are asked for without end: {next(iter(self.loop.pending.values())).kind}")

    def _tick(self, later: timedelta) -> Ticked:
        self._outside.at += later
        return Ticked(model=MODEL, at=self._outside.at, wall=self._outside.at)

    def _end(self, move: Move, chance: Random) -> None:
        """End one to three of the effects that are pending, oldest first."""
        for asked in tuple(self.loop.pending.values())[: chance.choice((1, 1, 2, 3))]:
            if move is Move.FAIL:
                answer: Fact = self._effects.fail(asked, chance)
            elif move is Move.SPOIL:
                answer = self._effects.spoil(asked, chance)
            else:
                answer = self._effects.answer(asked, chance)
            self._seen.answers.append(answer)
            self._submit(answer)

    def _from_outside(self, fact: Fact) -> None:
        self._seen.outside.append(fact)
        self._submit(fact)

    def _again(self, said: list[Fact], chance: Random) -> None:
        """Say something again that was said before: nothing may come of it."""
        if not said:
            return
        fact = chance.choice(said)
        if self._submit(fact):
            self._seen.wrong.append(f"{fact.kind} was recorded again when it was repeated")
        elif fact.ends and isinstance(fact, CandidateTrained):
            self._submit(self._effects.fail(fact, chance))  # pretends that the training failed after all

    def _crash(self, chance: Random) -> None:
        """Throw the engine away, now or in the middle of the next append; or have the record fail under it."""
        if not self._faults:
            return
        fault = chance.choice((None, *LogFault))
        if fault is None:
            self.loop = self._opened()
        else:
            self._log.fault = fault

    def _submit(self, fact: Fact) -> tuple[Fact, ...]:
        """Submit until it is on record, as whoever sends facts does; a crash opens a new engine first."""
        head = self._log.head()
        for _ in range(3):
            try:
                recorded = self.loop.submit(fact)
            except Crashed:
                self.loop = self._opened()
            except UnavailableError:
                continue
            else:
                self._note(head)
                return recorded
        self._note(head)
        return ()

    def _note(self, head: int) -> None:
        facts = tuple(each.fact for each in self._log.read(after=head))
        if facts:
            self._seen.transactions.append(facts)
            self._seen.states.append(self.loop.states)

    def _opened(self) -> Loop:
        loop = self._open(self._log)
        loop.recover()
        return loop
