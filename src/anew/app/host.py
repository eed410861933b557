"""`anew up` of an installation: the loops of all its projects in one process, each in a thread of its own."""

import logging
import os
import socket
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event, Lock, Semaphore, Thread
from time import monotonic
from typing import Any

from anew.adapters.dbos_effects import DBOSEffects, EffectSettings
from anew.adapters.fact_reader import read_facts
from anew.adapters.shared_effects import SharedEffects
from anew.adapters.system_clock import SystemClock
from anew.app.alone import alone, lock_of, turned
from anew.app.installation import Installation, load_installation
from anew.app.record_place import has_record, record_place
from anew.app.settings import FILE, load
from anew.app.standing import say_standing
from anew.app.up import UpOptions, up
from anew.domain.errors import AnewError, SettingsError
from anew.domain.fact import Fact
from anew.domain.facts import RolledBack, TrainingEnded, VersionPromoted
from anew.ports.effects import Effects, Work
from anew.trigger import SHARED, Sharing, SharingState

__all__ = ["Host", "HostOptions", "up_installation"]

_LOG = logging.getLogger("anew.host")
_TURN_S = 1.0
_SAY_S = 2.0
_LOOK_S = 5.0
_HUNG_S = 60.0
"""A loop that has not turned or not heard its mail for so long holds no place among those that share compute."""
_AGAIN_S = (1.0, 60.0)
_OPENING = 4
"""Projects that are brought up at a time; one that hangs gives its place to the next after a while."""
_ENDING_S = 30.0
"""How long loops have to end when all stop; what one that hangs has under way is resumed as after a crash."""
_REPEAT_S = 60.0
_PACE_S = 0.01
"""A loop turns ten times a second; more than ten of them share a thousand turns in ten seconds."""
_KINDS = frozenset(each.__name__ for each in (*SHARED, VersionPromoted, RolledBack))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What the command line gives: who hears each fact, who where pages are, who when all were brought up once."""

    told: Callable[[Sequence[Fact]], None] = lambda _: None
    dashboard: Callable[[str], None] = lambda _: None
    ready: Callable[[int, int], None] = lambda _well, _broken: None


def up_installation(folder: Path, options: HostOptions, stop: Event) -> None:
    """Run the loops of all projects of an installation until `stop` is set.

    What is wrong with one project is said, and tried again; the others do not notice.

    Raises
    ------
    SettingsError
        The installation's own file is wrong.
    ConflictError
        Another process runs it; the message names its pid.
    """
    installation = load_installation(folder)
    installation.state.mkdir(mode=0o700, exist_ok=True)
    with alone(lock_of(installation.state)):
        Host(installation, options).run(stop)


@dataclass(slots=True)
class _Keeper:
    """One project, and how it stands."""

    name: str
    root: Path
    model: str = ""
    problem: str = ""
    begun: bool = False
    turned: float = field(default_factory=monotonic)
    champion: str = ""
    unserved: str = ""
    mail: deque[Fact] = field(default_factory=deque)
    mailed: float = 0.0
    opening: bool = False
    tried: bool = False

    def state(self, now: float) -> str:
        """Return ``runs``, ``hangs``, ``broken`` or ``starts``."""
        if self.problem:
            return "broken"
        if not self.begun:
            return "starts"
        unheard = bool(self.mail) and now - self.mailed > _HUNG_S
        return "hangs" if unheard or now - self.turned > _HUNG_S else "runs"

    def send(self, fact: Fact, now: float) -> None:
        """Leave a fact for the loop, which takes it out once it is on record."""
        if not self.mail:
            self.mailed = now
        self.mail.append(fact)


class Host:
    """Keeps the loops of an installation, and gives their requests to retrain their turn."""

    def __init__(self, installation: Installation, options: HostOptions) -> None:
        self._installation = installation
        self._options = options
        self._sharing: Sharing = installation.sharing
        self._shared: SharingState = self._sharing.initial()
        self._keepers: dict[str, _Keeper] = {}
        self._lock = Lock()
        self._opening = Semaphore(_OPENING)
        self._clock = SystemClock()
        self._ready = False
        self._threads: list[Thread] = []
        self._complaint = ("", 0.0)

    def run(self, stop: Event) -> None:
        """Keep them until `stop`; however this ends, it is set then."""
        executor = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        place = self._installation.state / "effects.db"
        workers = EffectSettings(workers=self._sharing.at_once + 8)
        self._effects = SharedEffects(
            lambda work: DBOSEffects(place, work=work, executor=executor, settings=workers), stop.is_set
        )
        self._effects.start()
        look_at = say_at = 0.0
        try:
            while not stop.wait(_TURN_S if self._threads else 0.0):
                turned(self._installation.state)
                if monotonic() >= look_at:
                    look_at = monotonic() + _LOOK_S
                    self._tried(lambda: self._find(stop))
                self._tried(self._share)
                if monotonic() >= say_at:
                    say_at = monotonic() + _SAY_S
                    self._tried(self._say)
        finally:
            stop.set()
            self._effects.close()
            self._join()
            self._tried(lambda: self._say(running=False))

    def _tried(self, part: Callable[[], None]) -> None:
        """Do a part of a turn. What a full disk refuses is said now and then, and tried again; the loops go on."""
        try:
            part()
        except (OSError, AnewError) as exc:
            text, now = f"{type(exc).__name__}: {exc}", monotonic()
            if text != self._complaint[0] or now >= self._complaint[1]:
                self._complaint = (text, now + _REPEAT_S)
                _LOG.error("the installation's turn failed, the loops go on problem=%s", text)

    def _join(self) -> None:
        until = monotonic() + _ENDING_S
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            _LOG.warning("left running, since they do not end within %.0f s: %s", _ENDING_S, ", ".join(left))

    def _find(self, stop: Event) -> None:
        """Begin to keep the projects that are new."""
        for name, root in self._installation.projects().items():
            if name not in self._keepers:
                keeper = _Keeper(name=name, root=root)
                thread = Thread(target=self._keep, args=(keeper, stop), name=f"loop-{name}", daemon=True)
                with self._lock:
                    self._keepers[name] = keeper
                thread.start()
                self._threads.append(thread)

    def _keep(self, keeper: _Keeper, stop: Event) -> None:
        """Bring one project up, again and again: its thread is the outermost place of whatever goes wrong in it."""
        wait = _AGAIN_S[0]
        while not stop.is_set():
            began = monotonic()
            keeper.opening = self._opening.acquire(timeout=_HUNG_S)
            try:
                self._bring_up(keeper, stop)
            except SystemExit as exc:  # a component of the user's that exits ends its own loop alone
                self._broken(keeper, exc)
            except Exception as exc:  # noqa: BLE001 - an outermost loop: said, and tried again
                self._broken(keeper, exc)
            finally:
                self._opened(keeper)
                keeper.begun = False
            if stop.is_set():
                return
            wait = _AGAIN_S[0] if monotonic() - began > _HUNG_S else min(_AGAIN_S[1], wait * 2)
            self._rest(keeper, wait, stop)

    def _bring_up(self, keeper: _Keeper, stop: Event) -> None:
        settings = load(keeper.root)
        with self._lock:
            other = next((each for each in self._keepers.values() if each.model == settings.model), None)
            if other is not None and other is not keeper:
                raise SettingsError(f"the model of {other.name} is called {settings.model} as well")
            keeper.model = settings.model
        if settings.policy.serving.workers:
            raise SettingsError(
                f"{FILE}: serving.workers is {settings.policy.serving.workers}; write serving: {{workers: 0}}, and "
                f"serve all models of the installation with: anew gateway {self._installation.root}"
            )
        keeper.turned = monotonic()
        options = UpOptions(
            told=lambda facts: self._heard(keeper, facts),
            dashboard=self._options.dashboard,
            shares=True,
            pages=keeper.name == self._installation.policy.dashboard,
            effects=lambda work: self._part(settings.model, work),
            begun=lambda: self._begun(keeper),
            mail=lambda: self._mail(keeper),
            pace=lambda: max(0.1, _PACE_S * len(self._keepers)),
        )
        up(keeper.root, options, stop)

    def _part(self, model: str, work: Work) -> Effects:
        return self._effects.part(model, work)

    def _broken(self, keeper: _Keeper, problem: BaseException) -> None:
        text = f"{type(problem).__name__}: {problem}"
        if text != keeper.problem:
            _LOG.error("%s is broken and tried again; the others go on problem=%s", keeper.name, text)
        keeper.problem, keeper.tried = text, True

    def _rest(self, keeper: _Keeper, seconds: float, stop: Event) -> None:
        """Wait, but no longer than until the project's files change."""
        before, until = _revision(keeper.root), monotonic() + seconds
        while monotonic() < until and not stop.wait(_TURN_S):
            if _revision(keeper.root) != before:
                return

    def _opened(self, keeper: _Keeper) -> None:
        if keeper.opening:
            keeper.opening = False
            self._opening.release()

    def _begun(self, keeper: _Keeper) -> None:
        """Fold what is on record of a model whose loop has just read it, in the place of what was known of it."""
        alone = self._sharing.initial()
        keeper.champion, keeper.unserved, keeper.mail = "", "", deque()
        state = keeper.root / ".anew"
        if has_record(state):
            for recorded in read_facts(record_place(state), kinds=_KINDS):
                alone = self._sharing.apply(alone, recorded.fact)
                _crown(keeper, recorded.fact)
        with self._lock:
            self._shared = self._sharing.put(self._shared, keeper.model, alone.line(keeper.model))
        keeper.problem, keeper.begun, keeper.tried, keeper.turned = "", True, True, monotonic()
        self._opened(keeper)

    def _heard(self, keeper: _Keeper, facts: Sequence[Fact]) -> None:
        with self._lock:
            for fact in facts:
                self._shared = self._sharing.apply(self._shared, fact)
        for fact in facts:
            _crown(keeper, fact)
        self._options.told(facts)

    def _mail(self, keeper: _Keeper) -> deque[Fact]:
        keeper.turned = monotonic()
        return keeper.mail

    def _share(self) -> None:
        """Give turns. Each goes to its loop by mail: none is waited for, and one that is gone keeps no place."""
        now, wall = monotonic(), self._clock.now()
        with self._lock:
            for fact in self._sharing.decide(self._shared, wall, self._absent(now)):
                self._shared = self._sharing.apply(self._shared, fact)
                keeper = next(each for each in self._keepers.values() if each.model == fact.model)
                keeper.send(fact, now)

    def _absent(self, now: float) -> frozenset[str]:
        running = {each.model for each in self._keepers.values() if each.state(now) == "runs"}
        return frozenset(self._shared.lines.keys() - running)

    def _say(self, *, running: bool = True) -> None:
        """Write how all of them stand, for `anew status`; say once when each was brought up or found broken."""
        now, wall = monotonic(), self._clock.now()
        keepers = sorted(self._keepers.values(), key=lambda each: each.name)
        with self._lock:
            shared, absent = self._shared, self._absent(now)
        said = _standing(self._sharing, shared, wall, absent)
        said |= {
            "running": running,
            "pid": os.getpid(),
            "models": [
                {
                    "project": each.name,
                    "model": each.model,
                    "state": each.state(now),
                    "champion": each.champion,
                    "problem": each.problem,
                    "unserved": "" if each.champion else each.unserved,
                }
                for each in keepers
            ],
        }
        say_standing(self._installation.root, said)
        if not self._ready and keepers and all(each.tried for each in keepers):
            self._ready = True
            broken = sum(bool(each.problem) for each in keepers)
            self._options.ready(len(keepers) - broken, broken)


def _standing(sharing: Sharing, shared: SharingState, wall: datetime, absent: frozenset[str]) -> dict[str, Any]:
    left = sharing.left_s(shared, wall)
    return {
        "at": wall.isoformat(),
        "compute": {
            "at_once": sharing.at_once,
            "under_way": list(sharing.under_way(shared, absent)),
            "limit": str(sharing),
            "left_s": left,
        },
        "queue": [
            {
                "place": place,
                "model": each.model,
                "reason": each.reason or "turn",
                "detail": each.detail or "next",
                "rate": each.asked.rate,
                "since": (each.asked.since or wall).isoformat(),
                "due": each.due.isoformat(),
            }
            for place, each in enumerate(sharing.queue(shared, wall, absent), 1)
        ],
    }


def _crown(keeper: _Keeper, fact: Fact) -> None:
    """Note who is champion, and what became of the last run: that is why there is none."""
    if isinstance(fact, VersionPromoted):
        keeper.champion = fact.version
    if isinstance(fact, RolledBack) and fact.to:
        keeper.champion = fact.to
    if isinstance(fact, TrainingEnded):
        keeper.unserved = "" if fact.outcome == "accepted" else f"{fact.version} {fact.outcome}: {fact.detail}"


def _revision(root: Path) -> Sequence[tuple[str, int]]:
    """Return what tells a changed file of a project; nothing of one that is gone."""
    try:
        return [(each.name, each.stat().st_mtime_ns) for each in sorted((*root.glob("*.yaml"), *root.glob("*.py")))]
    except OSError:
        return []
