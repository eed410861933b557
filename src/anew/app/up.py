"""`anew up`: one process that keeps a project's loop, and the gateway workers beside it."""

import logging
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event

from anew.adapters.dbos_effects import DBOSEffects
from anew.adapters.fact_reader import read_facts
from anew.app.accepted import accept, is_accepted, revision, touched
from anew.app.alone import alone, lock_of, turned
from anew.app.beside import Beside
from anew.app.consent import admits
from anew.app.draining import draining, waits_for_start
from anew.app.followers import Followers
from anew.app.gateway_wiring import gateway_of, sets_of
from anew.app.history import take_history
from anew.app.hook import check_secrets
from anew.app.jobs import jobs_of
from anew.app.judging import guardrails
from anew.app.kept_columns import keep_columns
from anew.app.known_past import known_past
from anew.app.mending import mended, seen_before
from anew.app.observing import observer_plan
from anew.app.progress import ProgressReporter
from anew.app.purge import subject_purge
from anew.app.reading import Reading, Step
from anew.app.record_place import SQLITE, effects_place, has_record, record_place
from anew.app.replica_loop import replicas
from anew.app.served_gateway import ServedGateway
from anew.app.settings import FILE, Settings, load
from anew.app.split_history import keep_one_history
from anew.app.stores import OpenStores, open_stores
from anew.app.upkeep import Pins, Upkeep
from anew.app.wiring import stages
from anew.app.yardstick import read_known
from anew.domain.errors import AnewError, FencedError, SettingsError, UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import FIRST, ProjectChanged, RetrainCommanded
from anew.domain.unserved import NO_ROWS
from anew.loop.drain import Drainer
from anew.loop.engine import Engine
from anew.loop.lease_keeper import LEASE_S
from anew.loop.live import LiveLoop, LivePorts
from anew.loop.live_effects import LiveEffects, Stores
from anew.loop.observer import Observer
from anew.loop.observer_plan import Known
from anew.ports.effects import Effects, Work
from anew.ports.eventlog import Grant

__all__ = ["UpOptions", "up"]

_LOG = logging.getLogger("anew.up")
_TURN_S = 0.1
_MICRO = timedelta(microseconds=1)
_TIDY_S = 300.0
_REPEAT_S = 60.0
_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """What the command line gives: a `port` instead of the settings', who hears each fact, who where it is served.

    `progress` hears how far a long run is, now and then, and who is to serve where `anew up` does not; `dashboard` the
    address of the pages.

    Where it is one of several projects in one process: `shares` says that requests to retrain wait for their turn at
    shared compute, `pages` whether it has a dashboard of its own, `effects` makes what runs its effects, `begun` is
    called when the record has been read and nothing written yet, `mail` returns at each turn the facts that it has to
    record, which it takes out once they are, and `pace` the seconds between turns.
    """

    port: int | None = None
    told: Callable[[Sequence[Fact]], None] = lambda _: None
    ready: Callable[[str, int], None] = lambda _host, _port: None
    progress: Callable[[str], None] = lambda _: None
    dashboard: Callable[[str], None] = lambda _: None
    shares: bool = False
    pages: bool = True
    effects: Callable[[Work], Effects] | None = None
    begun: Callable[[], None] = lambda: None
    mail: Callable[[], deque[Fact]] = deque
    pace: Callable[[], float] = lambda: _TURN_S


def up(project: Path, options: UpOptions, stop: Event) -> None:
    """Serve the project and run its loop until `stop` is set.

    Raises
    ------
    SettingsError
        The project's files are wrong.
    ConflictError
        Another process runs this project; the message names its pid.
    """
    settings = load(project)
    stages(settings)
    check_secrets(settings)  # one that is not there is said here, not by workers that cannot begin
    settings.state.mkdir(mode=0o700, exist_ok=True)
    followers = Followers(settings)
    beside = Beside(settings, options.dashboard, pages=options.pages)
    with alone(lock_of(settings.state)), beside:
        known = has_record(settings.state)
        with closing(ServedGateway(settings, options.port)) as gateway:
            silent_until = 0.0
            while not stop.is_set():
                turned(settings.state)
                try:
                    with open_stores(settings) as stores, followers:
                        _Up(settings, stores, options, beside, gateway).run(stop)
                except UnavailableError as exc:
                    if settings.policy.stores.on_this_disk or not known:
                        raise
                    if time.monotonic() >= silent_until:
                        silent_until = time.monotonic() + _REPEAT_S
                        _LOG.error("a store does not answer, tried again every %.1f s problem=%s", _AGAIN_S, exc)
                    gateway.stand_in()
                    gateway.announce(options.ready, options.progress)
                    gateway.keep_until(_AGAIN_S, stop)
                else:
                    return


class _Up:
    """The wired loop of one project."""

    def __init__(
        self, settings: Settings, stores: OpenStores, options: UpOptions, beside: Beside, gateway: ServedGateway
    ) -> None:
        self._beside = beside
        self._gateway = gateway
        self._began = self._settings = settings
        self._stores = stores
        self._options = options
        self._known: dict[str, Known] = {}
        self._rejected = ""
        self._complained: dict[str, float] = {}

    def run(self, stop: Event) -> None:
        """Take the lease, start the workers, and turn until `stop`."""
        executor = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        if (grant := self._lease(executor, stop)) is not None:
            with draining(self._settings, self._stores) as drainer:
                self._run(drainer, executor, grant, stop)

    def _run(self, drainer: Drainer, executor: str, grant: Grant, stop: Event) -> None:
        stores, engine = self._stores, self._engine(self._settings, grant)
        self._options.begun()
        ports = LivePorts(
            lease=stores.lease,
            inbox=stores.inbox,
            traffic=stores.traffic,
            drainer=drainer,
            clock=stores.clock,
            admits=admits(self._settings.state / "keys"),
        )
        self._loop = LiveLoop(
            self._settings.model,
            engine,
            ports,
            grant,
            guardrails=guardrails(self._settings),
            data_clock=self._data_clock(),
        )
        self._observer = self._observing(self._settings)
        self._effects = LiveEffects(
            self._effect_stores(),
            jobs_of(self._settings),
            known_past(self._loop, self._stores.log),
            label_delay=self._settings.label_delay,
        )
        effects = self._effects_runner(self._loop.work(self._effects), executor)
        self._workers = self._gateway.processes
        try:
            with self._loop.at_work():
                self._begin(engine)
                self._loop.heed()  # an order, and a freeze that began, is on record before any effect ends
                effects.start()
                self._start()
                self._gateway.announce(self._options.ready, self._options.progress)
                with replicas(self._settings, stores.signer):
                    self._turns(stop, effects, grant)
        finally:
            effects.close()  # first: after the lease has passed on, each second of these disturbs the next holder's
            if stop.is_set():
                self._gateway.close()
            stores.lease.release(grant)

    def _effects_runner(self, work: Work, executor: str) -> Effects:
        if self._options.effects is not None:
            return self._options.effects(work)
        return DBOSEffects(effects_place(self._settings.state), work=work, executor=executor)

    def _start(self) -> None:
        """Start the gateway; workers that live already go on, or are replaced by those of new settings."""
        same = is_accepted(self._settings)
        accept(self._settings)
        self._stores.traffic.beat()
        self._gateway.start(same=same)

    def _lease(self, executor: str, stop: Event) -> Grant | None:
        left, file = self._stores.lease.current(), self._settings.state / "run" / "holder"
        if left is not None and (self._alone() or (file.is_file() and file.read_text("utf-8") == left.holder)):
            self._stores.lease.release(left)  # this folder's lock is ours: who held the lease from here is dead
        file.write_text(executor, "utf-8")
        while not stop.is_set():
            turned(self._settings.state)
            grant = self._stores.lease.acquire(executor, LEASE_S)
            if grant is not None:
                return grant
            stop.wait(0.2)
        return None

    def _alone(self) -> bool:
        """Is the record where nobody but this folder's loop can be?"""
        return self._settings.policy.stores.database == SQLITE

    def _turns(self, stop: Event, effects: Effects, grant: Grant) -> None:
        reporter = ProgressReporter(self._settings.state, self._progress)
        upkeep = Upkeep(self._stores.lake, self._stores.journals, self._stores.clock, self._alive)
        pins = Pins(lambda after: read_facts(record_place(self._settings.state), after, Pins.KINDS))
        self._alive()
        upkeep.verify()
        reading = Reading(lambda: touched(self._settings), self._stores.clock)
        tidy_at = self._stores.clock.monotonic() + _TIDY_S / 10

        def read() -> None:
            self._reload(grant)
            for problem in self._gateway.problems():
                _LOG.warning("%s", problem)

        def turn() -> None:
            nonlocal tidy_at
            self._loop.turn(self._observer, effects)
            reporter.look(self._loop.pending())
            self._beside.keep()
            if self._stores.clock.monotonic() >= tidy_at:
                tidy_at = self._stores.clock.monotonic() + _TIDY_S
                self._tidy(upkeep, pins)

        while not stop.wait(self._options.pace()):
            turned(self._settings.state)
            if (step := reading.look()) is Step.WAIT:
                continue
            if step is Step.READ:
                self._tried(read)  # first: whoever edits and then asks for a retrain means the new code
            self._tried(lambda: self._loop.hear(self._options.mail(), effects))  # a turn that fails keeps none of it
            self._tried(turn)
            try:
                for sentence in self._workers.keep():
                    _LOG.warning("%s", sentence)
            except UnavailableError as exc:
                self._complain(exc)

    def _tried(self, part: Callable[[], None]) -> None:
        """Do a part of a turn; when it fails serving goes on, and so does the loop once somebody has seen to it."""
        try:
            part()
        except FencedError:
            _LOG.error("fenced: another process holds the lease of %s", self._settings.model)
            raise
        except AnewError as exc:
            self._complain(exc)

    def _alive(self) -> None:
        """Say within a turn that takes long that it comes on: what hangs says nothing."""
        turned(self._settings.state)
        self._loop.come_on()

    def _serving(self) -> None:
        """Say the same where the lake is mended before the gateway has begun, which does not wait for it."""
        self._gateway.stand_in()
        self._alive()

    def _tidy(self, upkeep: Upkeep, pins: Pins) -> None:
        running = set(self._loop.state("train").runs.values())
        upkeep.tidy(self._loop.event_time(), self._settings.keep, lambda: pins.now(running))
        self._effects.tidy(self._loop.pending())

    def _progress(self, id: str, said: str) -> None:
        recorded = self._stores.log.find(id)
        version = "" if recorded is None else getattr(recorded.fact, "version", "")
        _LOG.info("progress version=%s said=%s", version, said)
        self._options.progress(f"{version}: {said}")

    def _complain(self, problem: AnewError) -> None:
        """Log what keeps a turn from its work: once, and again from time to time while it lasts."""
        text, now = f"{type(problem).__name__}: {problem}", self._stores.clock.monotonic()
        self._complained = {said: until for said, until in self._complained.items() if now < until}
        if text not in self._complained:
            self._complained[text] = now + _REPEAT_S
            _LOG.error("turn failed problem=%s", text)

    def _engine(self, settings: Settings, grant: Grant) -> Engine:
        engine = Engine(stages(settings, shares=self._options.shares), self._stores.log, grant, self._options.told)
        engine.recover()
        return engine

    def _begin(self, engine: Engine) -> None:
        """Record the project's revision, bring its history in, and ask for a first champion when there is none."""
        keep_one_history(self._settings, self._stores.traffic, self._loop.state("rollout").epoch)
        self._alive()
        lake, now = (self._stores.lake, self._stores.journals, self._serving), self._stores.clock.now()
        newest = mended(*lake, lambda: take_history(self._settings, self._stores.lake, now))
        first, seen = seen_before(*lake, self._loop.state("feedback"))
        self._loop.resume(first, max(filter(None, (seen, newest)), default=None))
        self._record_revision(self._settings)
        at = newest + _MICRO if newest is not None else self._stores.clock.now()
        if not self._data_clock():
            at = min(at, self._loop.event_time() or at)  # rows may lie ahead; event time on record must not
        served = engine.state("rollout").champion[0]
        if not served and newest is None and not self._stores.lake.counts().get("history"):
            _LOG.warning("%s; %s", NO_ROWS.found, NO_ROWS.fix)
        trigger = engine.state("trigger")
        waits = engine.state("validate").waits and not trigger.mended  # for a person: no other is asked for
        if not served and newest is not None and not (trigger.running or waits):
            model, command = self._settings.model, f"{FIRST}{engine.state('train').planned}"
            reason = "there is no champion"
            self._loop.submit(RetrainCommanded(model=model, at=at, command=command, by="anew up", reason=reason))

    def _data_clock(self) -> bool:
        return self._settings.policy.monitor.clock == "data"

    def _record_revision(self, settings: Settings) -> None:
        train = self._loop.state("train")
        at = self._loop.event_time() or self._stores.clock.now()
        while (train.settings, train.code) != (settings.digest, settings.code):
            fact = ProjectChanged(model=settings.model, at=at, settings=settings.digest, code=settings.code)
            if self._loop.submit(fact):
                return
            at += _MICRO  # the same revision was read at that very instant before: it has come back

    def _reload(self, grant: Grant) -> None:
        """Take over changed files when they are valid; else keep the old ones and say what is wrong, once."""
        found = revision(self._settings)
        if found == f"{self._settings.digest}/{self._settings.code}":
            self._rejected = ""
        if found in (f"{self._settings.digest}/{self._settings.code}", self._rejected):
            return
        try:
            changed = load(self._settings.root)
            stages(changed)
            check_secrets(changed)
            keep_columns(changed, self._settings)
            if changed.columns != self._settings.columns:
                raise SettingsError(f"{FILE}: columns cannot change while it runs; stop it and start it again")
            if changed.policy.stores.places != self._settings.policy.stores.places:
                raise SettingsError(f"{FILE}: stores cannot change while it runs; stop it and move what is there")
            accept(changed)
        except (AnewError, OSError) as exc:
            self._rejected = found
            _LOG.error("changed settings are refused, the old ones stay: %s", exc)
            return
        self._rejected = ""
        if waits_for_start(self._began, self._settings, changed):
            _LOG.warning(
                "a changed host, port or number of drainers is taken over when it is stopped and started again"
            )
        if gateway_of(changed) != gateway_of(self._settings):
            self._workers.renew(changed.policy.serving.workers, sets_of(changed))
        self._loop.reconfigure(
            lambda: self._engine(changed, grant), guardrails(changed), lambda: self._record_revision(changed)
        )
        self._settings = changed
        self._stores.lake.rules = changed.label_rules
        self._observer = self._observing(changed)
        self._effects.reconfigure(jobs_of(self._settings), label_delay=changed.label_delay)
        _LOG.info("settings changed revision=%s", changed.digest[:12])

    def _observing(self, settings: Settings) -> Observer:
        plan = observer_plan(settings, self._version, self._stores.review, self._stores.traffic)
        return Observer(plan, self._loop, self._stores.lake)

    def _version(self, digest: str) -> Known:
        """Return yardstick and loss scale of a version, read from its verified artifact once."""
        if digest not in self._known:
            self._known[digest] = read_known(self._stores.artifacts.get(digest))
        return self._known[digest]

    def _effect_stores(self) -> Stores:
        stores = self._stores
        return Stores(
            lake=stores.lake,
            snapshots=stores.snapshots,
            artifacts=stores.artifacts,
            compute=stores.compute,
            traffic=stores.traffic,
            purge=subject_purge(stores, self._settings.state),
        )
