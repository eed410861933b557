"""One gateway worker: the parts put together, without a server or a process around it."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anew.domain.errors import IntegrityError, UnavailableError
from anew.gateway.commit import GroupCommit
from anew.gateway.endpoint import ModelEndpoint
from anew.gateway.enrich import Enricher
from anew.gateway.marked import Unmarked
from anew.gateway.retrain_hook import RetrainHook
from anew.gateway.routing import Switch, VersionLoader
from anew.gateway.serving import Serving
from anew.gateway.settings import GatewaySettings
from anew.gateway.signed import VerifySender
from anew.gateway.swap import LaunchVersion, Swapper
from anew.ports.artifact import ArtifactStore
from anew.ports.clock import Clock
from anew.ports.feature_store import OnlineFeatures
from anew.ports.journal import JournalWriter
from anew.ports.traffic import Traffic, VersionHealth, WorkerStatus
from anew.ports.version_mark import VersionMark

__all__ = ["GatewayWorker", "Identity"]

_LOG = logging.getLogger("anew.gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a worker is: its name, its process (pid and start time in ticks since boot), its port."""

    worker: str
    pid: int
    started: int
    port: int


@dataclass(slots=True)
class GatewayWorker:
    """Serves one model: `endpoint` answers requests between `start` and `stop`. Belongs to one event loop."""

    settings: GatewaySettings
    identity: Identity
    traffic: Traffic
    store: ArtifactStore
    loader: VersionLoader
    journal: JournalWriter
    launch: LaunchVersion
    clock: Clock
    hook: RetrainHook | None = None
    verify: VerifySender | None = None
    features: OnlineFeatures | None = None
    mark: VersionMark = field(default_factory=Unmarked)
    endpoint: ModelEndpoint = field(init=False)
    switch: Switch = field(default_factory=Switch, init=False)
    _commit: GroupCommit = field(init=False)
    _swapper: Swapper = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list, init=False)
    _draining: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._commit = GroupCommit(self.journal)
        self._swapper = Swapper(
            settings=self.settings,
            switch=self.switch,
            traffic=self.traffic,
            store=self.store,
            loader=self.loader,
            launch=self.launch,
            report=self.report,
            mark=self.mark,
        )
        serving = Serving(self.settings, self.switch, self._commit, self.clock.now)
        self.endpoint = ModelEndpoint(
            serving=serving,
            ready=self.ready,
            stats=self.stats,
            workers=self.statuses,
            now=self.clock.now,
            hook=self.hook,
            verify=self.verify,
            enricher=None if self.features is None else Enricher(self.settings.columns, self.features),
        )

    async def start(self) -> None:
        """Begin to follow the routing and to report; the last published routing is enough, no control plane needed.

        Returns when the published version answers or was refused: a worker that listened before would refuse requests
        that its siblings can answer.
        """
        await self.journal.open()
        self.report()
        self._tasks = [asyncio.create_task(self._report_often())]  # one that is loading long is not silent
        await self._swapper.settle()
        self._tasks.append(asyncio.create_task(self._swapper.follow()))

    async def stop(self) -> None:
        """Stop following, end the challenger, and bring what was answered to disk."""
        self._draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._swapper.close()
        await self._commit.close()
        self.mark.forget()
        if self.features is not None:
            await self.features.close()

    def drain(self) -> None:
        """Say that the worker is about to stop: ``/ready`` turns away what a balancer would send."""
        self._draining = True

    def ready(self) -> tuple[int, Mapping[str, Any]]:
        """Return status and body of ``/ready``."""
        route = self.switch.route
        if self._draining or route is None:
            status = "draining" if self._draining else "no_model"
            return 503, {"status": status, "problems": self._problems()}
        problems = self._problems()
        body = {"status": "degraded" if problems else "ready", "problems": problems}
        return 200, {**body, "version": route.champion.version, "epoch": route.epoch}

    def stats(self) -> Mapping[str, Any]:
        """Return the body of ``/stats``."""
        route = self.switch.route
        return {
            "model": self.settings.model,
            "worker": self.identity.worker,
            "epoch": 0 if route is None else route.epoch,
            "version": "" if route is None else route.champion.version,
            "refused": self._swapper.refused,
            "waiting": self.endpoint.serving.waiting,
            "counts": self._counts(),
            "champion": self._champion(),
            "challenger": next(iter(self._challengers()), None),
            "rivals": self._challengers()[1:],
        }

    def report(self) -> None:
        """Write the status; when that fails, serving goes on."""
        try:
            self.traffic.report(self._status())
        except UnavailableError as exc:
            self.endpoint.serving.counts["reports_failed"] += 1
            _LOG.warning("status_not_written worker=%s problem=%s", self.identity.worker, exc)

    def statuses(self) -> Sequence[WorkerStatus]:
        """Return the present status of this worker, and the last word of each other one that lives."""
        try:
            known = self.traffic.workers(self.settings.model)
            others = [each for each in known if each.host or each.pid != self.identity.pid]
        except (IntegrityError, UnavailableError) as exc:
            _LOG.warning("statuses_not_read worker=%s problem=%s", self.identity.worker, exc)
            others = []
        return [self._status(), *others]

    def _status(self) -> WorkerStatus:
        route = self.switch.route
        return WorkerStatus(
            model=self.settings.model,
            worker=self.identity.worker,
            pid=self.identity.pid,
            started=self.identity.started,
            port=self.identity.port,
            at=self.clock.now(),
            epoch=0 if route is None else route.epoch,
            refused=self._swapper.refused,
            problem=self._swapper.problem,
            champion=self._champion(),
            challenger=next(iter(self._challengers()), None),
            rivals=self._challengers()[1:],
            unfit=self._swapper.unfit,
            counts=self._counts(),
            latency=tuple(self.endpoint.latency.counts),
        )

    async def _report_often(self) -> None:
        """Report at intervals, and at once when the champion or the challenger trips."""
        reported, waited = self._tripped(), 0.0
        while True:
            await asyncio.sleep(self.settings.poll_s)
            waited += self.settings.poll_s
            if waited >= self.settings.report_s or self._tripped() != reported:
                reported, waited = self._tripped(), 0.0
                self.report()

    def _tripped(self) -> tuple[str, ...]:
        route = self.switch.route
        if route is None:
            return ()
        return route.guard.tripped, *(contest.guard.tripped for contest in route.contests)

    def _champion(self) -> VersionHealth | None:
        route = self.switch.route
        if self._swapper.unloadable is not None:
            return self._swapper.unloadable
        return None if route is None else route.guard.health()

    def _challengers(self) -> tuple[VersionHealth, ...]:
        route, stillborn = self.switch.route, self._swapper.stillborn
        first = () if stillborn is None else (stillborn,)
        return (*first, *(contest.health() for contest in (() if route is None else route.contests)))

    def _counts(self) -> Mapping[str, int]:
        return {
            **self.endpoint.serving.counts,
            "shadows_unsaved": self._commit.unsaved,
            "replayed": self.endpoint.replays.replayed,
        }

    def _problems(self) -> list[str]:
        """Return why the worker is degraded, one sentence each."""
        silent = self.traffic.beaten_s()
        problems = []
        if silent is None or silent > self.settings.stale_s:
            problems.append("the control plane is not heard; the last published routing is served")
        if self._swapper.problem:
            problems.append(self._swapper.problem)
        route = self.switch.route
        if route is not None and route.guard.tripped and route.fallback is not None:
            problems.append(
                f"{route.fallback.version} answers in place of {route.champion.version}: {route.guard.tripped}"
            )
        if self._commit.problem:
            problems.append(f"the journal takes nothing: {self._commit.problem}")
        return problems
