"""Follows the published routing: loads off the loop, then changes one reference."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from anew.domain.errors import SchemaError, UnavailableError
from anew.domain.facts.rollout import Arm, Stage, TrafficShifted
from anew.gateway.challenger import Challenger
from anew.gateway.guard import Guard
from anew.gateway.marked import MOST_ENDS, Marked, Unmarked
from anew.gateway.routing import Answerer, Contest, Route, Switch, VersionLoader
from anew.gateway.settings import GatewaySettings
from anew.ports.artifact import ArtifactStore
from anew.ports.traffic import Traffic, VersionHealth
from anew.ports.version_mark import VersionMark

__all__ = ["LaunchVersion", "Swapper"]

LaunchVersion = Callable[[str, str, Path, int], list[str]]
"""Returns the command that serves (version, digest, folder) on a socket with a file descriptor."""

_LOG = logging.getLogger("anew.gateway")
_FIRST_PAUSE_S, _LAST_PAUSE_S = 1.0, 60.0
_Pair = tuple[str, str]
T = TypeVar("T")


@dataclass(slots=True)
class Swapper:
    """Brings the switch to what the control plane published, epoch by epoch, never backwards.

    A newer order ends the loading for an older one: a rollback never waits for a version that hangs. A route that
    cannot be loaded is refused: the old one stays, and it is tried again from time to time. A champion that is new here
    answers alone until its challenger has loaded: nobody waits for that.

    Attributes
    ----------
    refused, problem
        Epoch that could not be applied (0: none) and why; or why the routing could not be read.
    stillborn
        The challenger that could not be loaded, as the control plane is to hear of it.
    unloadable
        The champion that could not be loaded twice while nobody else was served here, likewise.
    unfit
        Why the fallback can never answer here; empty when it can, or may yet.
    """

    settings: GatewaySettings
    switch: Switch
    traffic: Traffic
    store: ArtifactStore
    loader: VersionLoader
    launch: LaunchVersion
    report: Callable[[], None]
    mark: VersionMark = field(default_factory=Unmarked)
    refused: int = 0
    problem: str = ""
    stillborn: VersionHealth | None = None
    unloadable: VersionHealth | None = None
    unfit: str = ""
    _warm: dict[_Pair, Answerer] = field(default_factory=dict)
    _order: TrafficShifted | None = None
    _task: asyncio.Task[None] | None = None
    _tried: asyncio.Event = field(default_factory=asyncio.Event)

    async def settle(self) -> None:
        """Look once, and wait until what is published answers or has been refused."""
        self.look()
        while self._order is not None and self.switch.route is None and not self._tried.is_set():
            await asyncio.sleep(self.settings.poll_s)

    async def follow(self) -> None:
        """Look at the routing again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self.settings.poll_s)

    def look(self) -> None:
        """Begin to apply the published routing if it is newer than the one applied or being applied."""
        try:
            order = self.traffic.published(self.settings.model)
        except Exception as exc:  # noqa: BLE001 - the outermost loop: a worker that stopped looking would be stale for ever
            if not self.problem:
                _LOG.error("routing_unreadable model=%s problem=%s", self.settings.model, exc)
            self.problem = f"the routing cannot be read: {exc}"
            return
        if not self.refused:
            self.problem = ""
        if order is None or (self._order is not None and order.epoch <= self._order.epoch):
            return
        self._order, self.stillborn, self.unloadable, self.unfit = order, None, None, ""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._apply(order))

    async def close(self) -> None:
        """Stop loading and end the challenger."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for contest in () if self.switch.route is None else self.switch.route.contests:
            contest.challenger.close()

    async def _apply(self, order: TrafficShifted) -> None:
        pause, refusals = _FIRST_PAUSE_S, 0
        while True:
            try:
                await self._swap(order)
                break
            except Exception as exc:  # noqa: BLE001 - whatever keeps a version from loading refuses the swap
                self.refused, self.problem = order.epoch, f"{type(exc).__name__}: {exc}"
                _LOG.error(
                    "swap_refused model=%s epoch=%d version=%s problem=%s",
                    order.model, order.epoch, order.challenger[0] or order.champion[0], self.problem,
                )  # fmt: skip
                refusals += 1
                if order.champion not in self._warm and order.fallback[0]:
                    await self._stand_in(order, again=refusals > 1)
                self._tried.set()
                self.report()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_S)
        if order.fallback[0]:
            await self._warm_up(order)

    async def _swap(self, order: TrafficShifted) -> None:
        """Load what the order names, then change the one reference."""
        old = self.switch.route
        if order.champion not in self._warm and order.fallback[0]:  # else nobody could answer in its place
            self._refuse(order.champion[0], loading=False)
            self._refuse(order.champion[0], loading=True)
        champion = await self._load(order.champion)
        if order.challenger[0] and (old is None or old.champion is not champion):
            old = self._alone(order, champion, old)
        contests = await self._contests(order, old)
        self.switch.route = Route(
            epoch=order.epoch,
            stage=order.stage,
            champion=champion,
            guard=self._guard(order, old),
            fallback=self._warm.get(order.fallback),
            contests=contests,
            trial=order.trial,
        )
        self.refused, self.problem, self.stillborn, self.unloadable = 0, "", None, None
        _LOG.info(
            "swap_applied model=%s epoch=%d stage=%s version=%s challenger=%s",
            order.model, order.epoch, order.stage, champion.version, " ".join(arm.version for arm in order.challengers),
        )  # fmt: skip
        self.report()
        self._free(order, old)

    async def _stand_in(self, order: TrafficShifted, *, again: bool) -> None:
        """Let the fallback answer where nobody does, for a champion that is not loaded, under no epoch at all.

        From its second refusal on the control plane hears of the champion as of one that fails every request.
        """
        if self.switch.route is not None and self.switch.route.champion.version != order.fallback[0]:
            return
        try:
            fallback = await self._load(order.fallback)
        except Exception as exc:  # noqa: BLE001 - neither loads: /ready says so, and both are tried again
            self.problem += f"; nor does the fallback {order.fallback[0]}: {exc}"
            return
        if self.switch.route is None:
            guard = Guard(order.fallback[0], self.settings)
            self.switch.route = Route(epoch=0, stage=Stage.STEADY, champion=fallback, guard=guard)
            _LOG.error("fallback_stands_in model=%s version=%s", self.settings.model, fallback.version)
        if again:
            reason = f"it cannot be served: {self.problem}"
            self.unloadable = VersionHealth(
                version=order.champion[0], asked=1, failed={"load": 1}, recent_asked=1, recent_failed=1, tripped=reason
            )

    def _alone(self, order: TrafficShifted, champion: Answerer, old: Route | None) -> Route:
        """Let the champion answer by itself, under the epoch of before: the ordered one is not in force yet."""
        route = Route(
            epoch=0 if old is None else old.epoch,
            stage=Stage.STEADY,
            champion=champion,
            guard=self._guard(order, old),
            fallback=self._warm.get(order.fallback),
        )
        self.switch.route = route
        self.report()
        self._free(order, old)
        return route

    def _guard(self, order: TrafficShifted, old: Route | None) -> Guard:
        """Return who watches the champion: the same as before while it is the same."""
        if old is None or (old.champion.version, old.champion.digest) != order.champion:
            return Guard(order.champion[0], self.settings)
        old.guard.reset()
        return old.guard

    async def _contests(self, order: TrafficShifted, old: Route | None) -> tuple[Contest, ...]:
        """Return the challengers, those that run already among them; all of them run, or none is new."""
        running = {} if old is None else {contest.arm.pair: contest for contest in old.contests}
        fresh: list[Contest] = []
        try:
            for arm in (arm for arm in order.challengers if arm.pair not in running):
                contest = await self._contest(arm)
                fresh.append(contest)
        except BaseException:
            for contest in fresh:
                contest.challenger.close()
            raise
        for contest in running.values():
            contest.guard.reset()
        found = running | {contest.arm.pair: contest for contest in fresh}
        return tuple(replace(found[arm.pair], arm=arm) for arm in order.challengers)

    async def _contest(self, arm: Arm) -> Contest:
        version, digest = arm.pair
        folder = await _in_thread(lambda: self.store.get(digest))
        challenger = Challenger(
            version=version,
            digest=digest,
            columns=self.settings.columns,
            settings=self.settings,
            launch=lambda descriptor: self.launch(version, digest, folder, descriptor),
        )
        try:
            await challenger.start()
        except UnavailableError as exc:
            self.stillborn = VersionHealth(
                version=version, asked=1, failed={"load": 1}, recent_asked=1, recent_failed=1, tripped=str(exc)
            )
            raise
        return Contest(arm=arm, challenger=challenger, guard=Guard(version, self.settings))

    async def _load(self, pair: _Pair) -> Answerer:
        if pair in self._warm:
            return self._warm[pair]
        version, digest = pair
        async with asyncio.timeout(self.settings.load_timeout_s):
            loaded = await _in_thread(lambda: self._loaded(version, digest))
        unknown = sorted(set(loaded.columns.names) - set(self.settings.columns.names))
        if unknown:
            raise SchemaError(
                f"{version} needs the columns {unknown}, which requests do not carry; declare them", "columns"
            )
        self._warm[pair] = Marked(loaded, self.mark)
        return self._warm[pair]

    def _refuse(self, version: str, *, loading: bool) -> None:
        if (ends := self.mark.ends(version, loading=loading)) >= MOST_ENDS:
            doing = "was loaded" if loading else "answered"
            raise UnavailableError(f"{version} ended {ends} gateway processes within minutes while it {doing}")

    def _loaded(self, version: str, digest: str) -> Answerer:
        folder = self.store.get(digest)
        self.mark.load(version)
        try:
            return self.loader.load(folder, version=version, digest=digest)
        finally:
            self.mark.loaded(version)

    async def _warm_up(self, order: TrafficShifted) -> None:
        """Load the fallback, so that it can answer in place of the champion and going back needs no disk."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                self._refuse(order.fallback[0], loading=True)
                fallback = await self._load(order.fallback)
                break
            except Exception as exc:  # noqa: BLE001 - whatever it was, serving goes on
                if isinstance(exc, SchemaError) and not self.unfit:
                    self.unfit = str(exc)
                    self.report()
                _LOG.warning(
                    "fallback_not_warm model=%s version=%s problem=%s", self.settings.model, order.fallback[0], exc
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_S)
        route = self.switch.route
        if route is not None and route.epoch == order.epoch:
            self.switch.route = replace(route, fallback=fallback)

    def _free(self, order: TrafficShifted, old: Route | None) -> None:
        """Let go of what is neither champion nor fallback nor the champion of just before."""
        kept = {order.champion, order.fallback}
        if old is not None:
            kept.add((old.champion.version, old.champion.digest))
            route = self.switch.route
            going_on = () if route is None else tuple(contest.challenger for contest in route.contests)
            for challenger in (contest.challenger for contest in old.contests):
                if not any(challenger is each for each in going_on):
                    # requests that began under the old route may still wait for it, until their deadline
                    asyncio.get_running_loop().call_later(2 * self.settings.deadline_ms / 1000, challenger.close)
        freed = [self._warm.pop(pair) for pair in list(self._warm) if pair not in kept]
        if freed:  # the larger the model the longer that takes, and nobody should wait for it
            threading.Thread(target=freed.clear, name="anew-free", daemon=True).start()


async def _in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, so that one that hangs holds up neither another nor the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, problem: BaseException | None) -> None:
        if future.done():
            return
        if problem is not None:
            future.set_exception(problem)
        else:
            future.set_result(cast("T", result))

    def run() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (work(), None)
        except BaseException as exc:  # noqa: BLE001 - it is raised where it is awaited
            outcome = (None, exc)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="anew-load", daemon=True).start()
    return await future
