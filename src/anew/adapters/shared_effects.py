"""Effects of several loops on one runner, whose workers they share; a loop that fails keeps none of the others."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from threading import Condition, Event, Lock

from anew.ports.effects import Effects, PostponedRun, Steps, Work

__all__ = ["SharedEffects"]

_LOG = logging.getLogger("anew.effects")
_GRACE_S = 5.0


@dataclass(slots=True)
class _Part:
    """The effects of one loop; see `anew.ports.effects.Effects`.

    What it was asked for is kept here: whoever asks all loops what is pending would wait for the one that hangs.
    """

    name: str
    whole: "SharedEffects"
    work: Work
    asked: set[str] = field(default_factory=set)
    running: int = 0
    idle: Condition = field(default_factory=Condition)
    gone: Event = field(default_factory=Event)

    def start(self) -> None:
        """Take part, with what is pending from before; asked of the loop here, in its own thread."""
        self.asked.update(self.work.pending())
        self.whole.join(self)

    def ask(self, fact_id: str) -> None:
        """Have the effect of this fact run."""
        self.asked.add(fact_id)
        self.whole.effects.ask(f"{self.name}.{fact_id}")

    def active(self) -> frozenset[str]:
        """Return the ids of the facts whose effects wait or run now."""
        mine = f"{self.name}."
        return frozenset(id.removeprefix(mine) for id in self.whole.effects.active() if id.startswith(mine))

    def close(self) -> None:
        """Take part no more: what runs ends at its next step, and goes on there once the next loop asks for it."""
        self.gone.set()
        self.whole.leave(self)
        with self.idle:
            self.idle.wait_for(lambda: not self.running, _GRACE_S)

    def run(self, fact_id: str, steps: Steps) -> None:
        """Run an effect to its end."""
        with self.idle:
            self.running += 1
        try:
            self.work.run(fact_id, _PartSteps(self, steps))
        finally:
            with self.idle:
                self.running -= 1
                self.idle.notify_all()
        self.asked.discard(fact_id)


@dataclass(frozen=True, slots=True)
class _PartSteps:
    """The checkpoints of one run, which ends with its loop; see `anew.ports.effects.Steps`."""

    part: _Part
    steps: Steps

    def run(self, name: str, function: Callable[[], str]) -> str:
        """Return the step's result, running it if it has none yet."""
        self._go_on()
        return self.steps.run(name, function)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._go_on()
        self.steps.sleep(seconds)

    def _go_on(self) -> None:
        """End a run whose loop is gone. When all stop, the runner interrupts it instead, for the next process."""
        if self.part.gone.is_set() and not self.part.whole.stopping():
            raise PostponedRun  # until the next loop asks for it


class SharedEffects:
    """One runner for the loops of many models. Thread-safe.

    Parameters
    ----------
    make
        Makes the runner of what all of them ask for.
    stopping
        Does the whole process stop, rather than one loop?
    """

    def __init__(self, make: Callable[[Work], Effects], stopping: Callable[[], bool] = lambda: False) -> None:
        self.stopping = stopping
        self._parts: dict[str, _Part] = {}
        self._lock = Lock()
        self.effects = make(
            Work(run=self._run, pending=self._pending, exhausted=self._exhausted, settled=self._settled)
        )

    def start(self) -> None:
        """Begin to run what is asked for."""
        self.effects.start()

    def close(self) -> None:
        """Stop: effects end their present step and are resumed by the next process."""
        self.effects.close()

    def part(self, name: str, work: Work) -> _Part:
        """Return the effects of the loop called `name`; it takes part once it is started."""
        return _Part(name=name, whole=self, work=work)

    def join(self, part: _Part) -> None:
        """Let a loop take part."""
        with self._lock:
            self._parts[part.name] = part

    def leave(self, part: _Part) -> None:
        """Let a loop go; one that took its place meanwhile stays."""
        with self._lock:
            if self._parts.get(part.name) is part:
                del self._parts[part.name]

    def _of(self, id: str) -> tuple[_Part | None, str]:
        name, _, fact_id = id.rpartition(".")
        with self._lock:
            return self._parts.get(name), fact_id

    def _run(self, id: str, steps: Steps) -> None:
        part, fact_id = self._of(id)
        if part is None:
            _LOG.info("effect_without_its_loop id=%s", id)
            raise PostponedRun  # until its loop is there and asks for it
        part.run(fact_id, steps)

    def _pending(self) -> Collection[str]:
        with self._lock:
            parts = tuple(self._parts.values())
        return [f"{part.name}.{fact_id}" for part in parts for fact_id in tuple(part.asked)]

    def _exhausted(self, id: str) -> None:
        part, fact_id = self._of(id)
        if part is not None:
            part.work.exhausted(fact_id)
            part.asked.discard(fact_id)

    def _settled(self, id: str) -> bool:
        """Is its loop there, and asks for it no more? Of loops that are not there yet, nothing is known."""
        part, fact_id = self._of(id)
        return part is not None and fact_id not in part.asked
