"""The live loop: one process that holds the lease, turns what comes in into facts, and has effects run."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import IncidentRaised, RetrainCommanded, Ticked
from anew.domain.interval import Interval
from anew.loop.drain import Drainer
from anew.loop.engine import Engine
from anew.loop.event_clock import CLOCK, EventClock
from anew.loop.failure import failure
from anew.loop.guardrail import Guardrails
from anew.loop.lease_keeper import LeaseKeeper
from anew.loop.live_effects import LiveEffects
from anew.loop.observer import Observer
from anew.loop.pending import beside, to_begin
from anew.ports.clock import Clock
from anew.ports.effects import Effects, Steps, Work
from anew.ports.eventlog import Grant, Lease
from anew.ports.inbox import Inbox
from anew.ports.traffic import Traffic
from anew.rollout import RolloutState

__all__ = ["LiveLoop", "LivePorts"]

_OBSERVE_S = 0.25
_MICRO = timedelta(microseconds=1)
_LOG = logging.getLogger("anew.loop")
_BEHIND = (
    ": it has come to {} on record, and until the clock has passed that, too, monitoring stands still: what is "
    "answered meanwhile is stored, but late for its window"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePorts:
    """What the loop asks of the world; a command that `admits` refuses is struck off and has no effect."""

    lease: Lease
    inbox: Inbox
    traffic: Traffic
    drainer: Drainer
    clock: Clock
    admits: Callable[[Fact], bool] = lambda _: True


class LiveLoop:
    """Runs turns; a turn takes commands, drains journals, observes, and asks for effects. `submit` is thread-safe.

    Parameters
    ----------
    model
        Name of the model that this loop keeps.
    engine
        Recovered from the record; written to only by this loop.
    data_clock
        Does event time follow the newest row, rather than the wall clock?
    """

    def __init__(
        self, model: str, engine: Engine, ports: LivePorts, grant: Grant, *, guardrails: Guardrails, data_clock: bool
    ) -> None:
        self._model = model
        self._engine = engine
        self._ports = ports
        self._keeper = LeaseKeeper(ports.lease, ports.traffic, ports.clock, grant)
        self._guardrails = guardrails
        self._data_clock = data_clock
        self._event_clock = EventClock(ports.clock, None if data_clock else engine.newest)
        self._lock = threading.RLock()
        self._looked = float("-inf")
        self._first: datetime | None = None
        self._newest: datetime | None = None

    def resume(self, first: datetime | None, newest: datetime | None) -> None:
        """Take up event time where rows that were drained before left it."""
        self._first, self._newest = first, newest

    def work(self, effects: LiveEffects) -> Work:
        """Return what an effect runner needs of this loop."""

        def run(fact_id: str, steps: Steps) -> None:
            with self._lock:
                pending = self._engine.pending
            fact = pending.get(fact_id)
            if fact is not None:
                for end in effects.run(fact, steps, beside(fact, pending)):
                    self.submit(self._from_now(end))

        def exhausted(fact_id: str) -> None:
            with self._lock:
                fact = self._engine.pending.get(fact_id)
            if fact is not None:
                reason = "every attempt failed; see the log for each"
                self.submit(self._from_now(failure(fact, "exhausted", reason, effects.used(fact))))

        return Work(run=run, pending=self._to_begin, exhausted=exhausted)

    def at_work(self) -> AbstractContextManager[None]:
        """Keep the lease within the block, whatever a turn waits for, unless one takes minutes; see `LeaseKeeper`."""
        return self._keeper.running()

    def come_on(self) -> None:
        """Say within a turn that does one long thing after another that it does not hang."""
        self._keeper.come_on()

    def pending(self) -> Collection[str]:
        """Return the ids of facts whose effects have not ended."""
        with self._lock:
            return tuple(self._engine.pending)

    def _to_begin(self) -> Collection[str]:
        with self._lock:
            return to_begin(self._engine.pending)

    def submit(self, fact: Fact) -> tuple[Fact, ...]:
        """Record a fact from outside with all that follows from it; but first what people have ordered the gateways.

        Nothing of a running loop reaches the engine but through here and `heed`: people were told that their order is
        obeyed, and whatever is decided after that is decided on a record that has it.
        """
        with self._lock:
            if fact.ends:
                self.heed()  # a freeze that has begun holds what follows from this
            else:
                self._take_orders()
            return self._engine.submit(fact)

    def hear(self, mail: deque[Fact], effects: Effects) -> None:
        """Record facts from outside as of the present event time, and have the effects run that follow.

        Each is taken out of `mail` once it is on record. Raises what `turn` raises.
        """
        if not mail:
            return
        self.heed()  # a freeze that has begun holds what follows from these
        while mail:
            self.submit(self._from_now(mail[0]))
            mail.popleft()
        self._ask(effects)

    def state(self, name: str) -> Any:
        """Return the present state of the stage called `name`."""
        return self._engine.state(name)

    def reconfigure(
        self, rebuild: Callable[[], Engine], guardrails: Guardrails, record: Callable[[], None] = lambda: None
    ) -> None:
        """Put another engine, folded from the same record under other settings, in the place of this one.

        Nothing is decided by it before `record` has put its revision on record.
        """
        with self._lock:
            self._engine = rebuild()
            self._guardrails = guardrails
            record()

    def turn(self, observer: Observer, effects: Effects) -> None:
        """Do what there is to do now.

        Raises
        ------
        FencedError
            Another process holds the lease; this one has to stop.
        UnavailableError
            A store does not answer; the next turn goes on where this one stopped.
        """
        self._keeper.move_on()
        self._doubt()
        self.heed()
        self._take_commands()
        self._guard(self.event_time())  # before the lake: what needs no labels has to work while it does not answer
        self._ask(effects)
        report = self._ports.drainer.drain_once()
        self._first = min(filter(None, (self._first, report.oldest)), default=None)
        self._newest = max(filter(None, (self._newest, report.newest)), default=None)
        now = self.event_time()
        if now is not None and self._ports.clock.monotonic() - self._looked >= _OBSERVE_S:
            self._looked = self._ports.clock.monotonic()
            self.heed()  # draining may have taken long
            with self._lock:
                observer.turn(now, self._ports.clock.now(), self._first)
        self._ask(effects)

    def heed(self) -> None:
        """Put on record what outranks the loop: what people ordered the gateways, and what waits for the wall clock.

        That is where consent does: a freeze begins or ends, something expires.
        """
        with self._lock:
            self._take_orders()
            wall, now = self._ports.clock.now(), self.event_time()
            if now is not None and self._engine.due(wall):  # before any row there is nothing that could wait
                self._engine.submit(Ticked(model=self._model, at=now, wall=wall))

    def _ask(self, effects: Effects) -> None:
        for fact_id in self._to_begin():
            effects.ask(fact_id)

    def event_time(self) -> datetime | None:
        """Return the present event time; by the data's clock None before any row."""
        return self._newest if self._data_clock else self._event_clock.now()

    def _doubt(self) -> None:
        """Raise an incident for each step of the wall clock: people set clocks right, the loop only stops trusting."""
        now = self.event_time()
        for step in self._event_clock.steps():
            wall, seconds = self._ports.clock.now(), step.total_seconds()
            behind = now is not None and wall < now
            _LOG.error("clock stepped seconds=%+.0f wall=%s event_time=%s", seconds, wall.isoformat(), now)
            if now is None:
                continue
            said = (
                f"the wall clock stepped by {seconds:+.0f} s to {wall.isoformat()}; event time does not follow it yet"
                f"{_BEHIND.format(now.isoformat()) if behind else ''}"
            )
            self.submit(
                IncidentRaised(
                    model=self._model,
                    at=now,
                    detector=f"{CLOCK}{(now if behind else wall).isoformat()}",  # one while event time stands
                    version=self._engine.state("rollout").champion[0],
                    window=Interval(start=now, end=now + _MICRO),
                    evidence=(Evidence.of("clock", seconds, 1),),
                    message=said,
                )
            )

    def _take_commands(self) -> None:
        for fact in self._ports.inbox.pending():
            if self._ports.admits(fact):
                self.submit(self._dated(fact))
            self._ports.inbox.take([fact.id])

    def _take_orders(self) -> None:
        """Record the orders that the gateways obey already, so that nothing is decided that they outrank."""
        rollout: RolloutState = self._engine.state("rollout")
        for order in self._ports.traffic.ordered(self._model):
            if order.epoch > rollout.epoch:
                self._engine.submit(self._from_now(order))

    def _from_now(self, fact: Fact) -> Fact:
        """Return `fact` as of the present event time.

        Whoever gave a command knew only the newest fact's; and while an effect ran, event time went on: a rollout
        begins when its candidate is there, not when it was planned.
        """
        now = self.event_time()
        return fact if now is None or now < fact.at else replace(fact, at=now)

    def _dated(self, fact: Fact) -> Fact:
        """Return what came into the inbox as of now; by the data's clock just after the newest row at the latest.

        There it may bear the wall clock's time: its own, or that of a fact from before any row came. Before there is a
        champion, a retrain that a person asks for holds then by either clock.
        """
        fact, now = self._from_now(fact), self.event_time()
        if isinstance(fact, RetrainCommanded) and not self._engine.state("rollout").champion[0]:
            now = self._newest or now  # a first champion is trained on the rows that there are, however old
        elif not self._data_clock:
            return fact
        return fact if now is None else replace(fact, at=min(fact.at, now + _MICRO))

    def _guard(self, now: datetime | None) -> None:
        """Report a version that breaks a limit at any worker."""
        rollout: RolloutState = self._engine.state("rollout")
        if rollout.probation is None and not rollout.fallback[0]:
            return  # nothing to go back to
        workers = self._ports.traffic.workers(self._model)
        found = self._guardrails.broken(rollout, workers, self._model, now or self._ports.clock.now())
        if found is not None:
            self.submit(found)
