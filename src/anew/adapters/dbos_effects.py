"""Runs effects as durable DBOS workflows, one for each attempt at the effect of a fact.

No business state is kept here. What is pending comes from the record of facts by `Work.pending`; the database of DBOS
holds checkpoints and counts of attempts, and losing it loses these alone.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from anew.adapters.postgres_link import Place
from anew.domain.boundary import reach
from anew.domain.errors import ConflictError, UnavailableError
from anew.ports.effects import PostponedRun, Work

if TYPE_CHECKING:
    from anew.adapters.dbos_runtime import Runtime

__all__ = ["DBOSEffects", "EffectSettings", "InterruptedRun"]

_log = logging.getLogger(__name__)

_SWEEP_S = 3600.0
"""How often attempts at effects that have ended are deleted."""


class InterruptedRun(BaseException):
    """The process stops: a run ends here, to be resumed by the next. No Exception, so that DBOS records no outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSettings:
    """How often effects are tried.

    Attributes
    ----------
    workers
        Effects that run at once.
    attempts
        Failed attempts after which an effect is given up; with `backoff_s` doubling from 1 s, six take half a minute.
    backoff_s
        Wait after the first failed attempt, in seconds of wall time; doubles with each.
    recoveries
        How often an effect that was running when its process died is taken up again.
    poll_s, reap_s
        How often the queue is looked at, and how often what is pending is asked for again.
    grace_s
        How long `close` waits for steps that are running.
    """

    workers: int = 4
    attempts: int = 6
    backoff_s: float = 1.0
    recoveries: int = 20
    poll_s: float = 0.2
    reap_s: float = 1.0
    grace_s: float = 5.0


@dataclass(slots=True)
class _Running:
    """Effects that run in this process now."""

    ids: set[str] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def enter(self, fact_id: str) -> None:
        with self.lock:
            if fact_id in self.ids:
                raise ConflictError(f"the effect of {fact_id} is running in this process already")
            self.ids.add(fact_id)

    def leave(self, fact_id: str) -> None:
        with self.lock:
            self.ids.discard(fact_id)


class DBOSEffects:
    """Effects on DBOS. Thread-safe; see `anew.ports.effects.Effects`. At most one is started in a process at a time.

    Parameters
    ----------
    database
        SQLite file of DBOS, or its schema on a server; made when it is not there.
    work
        What to run, what is pending, whom to tell when an effect is given up.
    executor
        Name of this process, new for each start (host, pid and a random part).
    """

    def __init__(
        self, database: Place, *, work: Work, executor: str, settings: EffectSettings = EffectSettings()
    ) -> None:
        self._database = database
        self._work = work
        self._executor = executor
        self._settings = settings
        self._closing = Event()
        self._running = _Running()
        self._asking = Lock()
        self._told: set[str] = set()
        self._postponed: set[str] = set()
        self._runtime: Runtime | None = None
        self._ready = Event()
        self._reaper = Thread(target=self._reap, name="effects-reaper", daemon=True)

    def start(self) -> None:
        """Launch DBOS and the reaper; what dead processes left is taken up at once.

        Raises
        ------
        ConflictError
            Effects run in this process already, or these were closed.
        UnavailableError, IntegrityError
            The database cannot be used; it may be deleted, only checkpoints are lost.
        """
        # DBOS takes 1.5 s to import, which only those who start effects shall wait for.
        from anew.adapters.dbos_runtime import Runtime, RuntimeSettings  # noqa: PLC0415 - see above

        if self._closing.is_set() or self._runtime is not None:
            raise ConflictError("these effects were started before; make new ones")
        chosen = RuntimeSettings(
            workers=self._settings.workers, poll_s=self._settings.poll_s, recoveries=self._settings.recoveries
        )
        self._runtime = Runtime(self._database, executor=self._executor, body=self._body, settings=chosen)
        self._ready.set()
        self._reaper.start()

    def ask(self, fact_id: str) -> None:
        """Have the effect of this fact run; without effect while it waits or runs, or waits out a failed attempt."""
        runtime = self._started()
        with self._asking:
            attempts = runtime.attempts(fact_id)
            last = attempts[-1] if attempts else None
            if last is None:
                runtime.enqueue(fact_id, 1)
                return
            if last.waits_or_runs:
                return
            if last.postponed:
                runtime.resume(last)
                return
            if not last.given_up and last.number < self._settings.attempts:
                waited = time.time() - last.updated_s
                # A clock that was set back makes the wait negative; then it is not worth knowing how long it was.
                if not 0 <= waited < self._settings.backoff_s * 2 ** (last.number - 1):
                    runtime.enqueue(fact_id, last.number + 1)
                return
            if fact_id in self._told:
                return
            self._told.add(fact_id)
        _log.error("effect_given_up fact=%s attempts=%d status=%s", fact_id, last.number, last.status)
        try:
            self._work.exhausted(fact_id)
        except BaseException:
            self._told.discard(fact_id)  # to be told again by the next pass
            raise

    def active(self) -> frozenset[str]:
        """Return the ids of the facts whose effects wait or run now."""
        return frozenset(attempt.fact_id for attempt in self._started().waiting())

    def close(self) -> None:
        """Interrupt effects at their next step, wait `grace_s` for them, and shut DBOS down; they are resumed later."""
        self._closing.set()
        if self._runtime is None:
            return
        self._reaper.join(self._settings.grace_s)
        deadline = time.monotonic() + self._settings.grace_s
        while self._running.ids and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._running.ids:
            _log.warning("effects_left_running facts=%s", ",".join(sorted(self._running.ids)))
        self._runtime.close()
        self._runtime = None

    def _started(self) -> "Runtime":
        if self._runtime is None:
            raise UnavailableError("effects are not running: start them first, or they were closed")
        return self._runtime

    def _body(self, fact_id: str) -> None:
        self._ready.wait()  # what was in the queue may be begun before `start` has its runtime
        if self._closing.is_set():
            raise InterruptedRun
        try:
            self._run(fact_id)
        except PostponedRun:
            self._postponed.add(fact_id)
            raise

    def _run(self, fact_id: str) -> None:
        self._running.enter(fact_id)
        try:
            reach("effect.begun")
            self._work.run(fact_id, _Steps(self._started(), self._closing))
            reach("effect.ended")
        except Exception as exc:
            # One line; DBOS logs the trace.
            _log.warning("effect_failed fact=%s error=%s", fact_id, type(exc).__name__)
            raise
        finally:
            self._running.leave(fact_id)

    def _reap(self) -> None:
        """Take up what was left behind and ask for what is pending, again and again; each pass repeats harmlessly."""
        sweep_at = time.monotonic()
        while not self._closing.is_set():
            try:
                runtime = self._started()
                runtime.recover()
                self._postpone(runtime)
                pending = frozenset(self._work.pending())
                if time.monotonic() >= sweep_at:
                    runtime.forget(pending, self._work.settled)
                    sweep_at = time.monotonic() + _SWEEP_S
                for fact_id in sorted(pending):
                    self.ask(fact_id)
            except Exception:  # noqa: BLE001 - an outermost loop: what failed is tried again in the next pass
                _log.exception("effects_reaper_failed")
            self._closing.wait(self._settings.reap_s)

    def _postpone(self, runtime: "Runtime") -> None:
        """Free the places of postponed runs. Here, since a run itself would do it as one of its steps."""
        for fact_id in tuple(self._postponed):
            with self._asking:  # none is asked for, and begun again, between the two
                for attempt in runtime.attempts(fact_id):
                    if attempt.waits_or_runs:
                        runtime.postpone(attempt)
                self._postponed.discard(fact_id)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The checkpoints of one run; see `anew.ports.effects.Steps`."""

    runtime: "Runtime"
    closing: Event

    def run(self, name: str, function: Callable[[], str]) -> str:
        """Return the step's result, running it if it has none yet."""
        if self.closing.is_set():
            raise InterruptedRun

        def step() -> str:
            reach("effect.before_step")
            result = function()
            reach("effect.before_checkpoint")
            return result

        result = self.runtime.step(name, step)
        reach("effect.after_checkpoint")
        return result

    def sleep(self, seconds: float) -> None:
        """Wait until an instant that is a checkpoint of its own."""
        until = float(self.run("sleep", lambda: repr(time.time() + seconds)))
        # Never longer than asked for, should the clock have been set back.
        if self.closing.wait(min(max(0.0, until - time.time()), seconds)):
            raise InterruptedRun
