"""Gateway workers as processes of their own: started, watched, started again, replaced, drained at the end."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import ascii_lowercase

from anew.adapters.connection_pass import way
from anew.adapters.http_server import listen
from anew.adapters.port_claim import claim_port
from anew.adapters.process_table import process_started
from anew.app.silence import Silence
from anew.domain.errors import ConflictError, UnavailableError
from anew.ports.traffic import WorkerStatus

__all__ = ["GatewayProcesses", "free_port"]

_BACKOFF_S = (0.2, 1.0, 5.0)
_GRACE_S = 10.0
_READY_S = 90.0
_SETTLED_S = 0.5
_PROBE_BYTES = 1 << 16
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
_MARKS = ("", *ascii_lowercase)
_GREEN = "green"
_UNSTEADY, _UNSTEADY_S = 3, 300.0
"""Where workers end so often within so many seconds, it is the same that ends them."""


def free_port(host: str) -> int:
    """Return a TCP port of `host` that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True, kw_only=True)
class _Worker:
    """A process by its id and start time; `process` is None for one that an earlier control plane started."""

    name: str
    pid: int
    started: int | None
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    killed: bool = False
    again_at: float | None = None

    def code(self) -> int | None:
        """Return how it ended, None while it lives; -1 for an end that only its parent knew."""
        if self.process is not None:
            return self.process.poll()
        return None if process_started(self.pid) == self.started else -1

    def signal(self, number: int) -> None:
        if self.code() is None:
            os.kill(self.pid, number)

    def gone(self) -> bool:
        """Has one that was asked to end done so? After its grace it is made to."""
        if self.code() is None and self.again_at is not None and time.monotonic() > self.again_at:
            self.signal(signal.SIGKILL)
        return self.code() is not None


@dataclass(slots=True, kw_only=True)
class _Change:
    """A set of workers on its way to take the place of the one that serves."""

    workers: list[_Worker]
    until: float
    ready_at: float | None = None


@dataclass(slots=True, kw_only=True)
class GatewayProcesses:
    """The workers of one project, or of several that share them, all on one port.

    With a `count` of 0 it keeps its hands off: a gateway shared with other projects serves this one. Workers outlive a
    control plane that was killed, and go on serving; the next one takes them over as they are. One that hangs is
    killed.

    The sockets are this process's, one for each worker, and stay open when one dies: callers who wait there are let in
    by the others, which know all of them. With a socket of its own a worker would take along who had just come.
    The port is theirs alone: sockets that may be shared would let those of another project in as well.

    Parameters
    ----------
    log
        Folder of the workers' logs, one file each.
    living
        Returns what each living worker of the project said last.
    sets
        2 for two complete sets of `count` workers that take turns, 1 for one.
    parts
        ``package.module:function`` that makes the parts of a worker; empty: those of a worker beside its project.
    """

    projects: Sequence[Path]
    log: Path
    host: str
    port: int
    count: int
    living: Callable[[], Sequence[WorkerStatus]]
    sets: int = 1
    parts: str = ""
    _claim: socket.socket | None = field(default=None, init=False)
    _sockets: list[socket.socket] = field(default_factory=list, init=False)
    _ways: dict[str, tuple[socket.socket, socket.socket]] = field(default_factory=dict, init=False)
    _workers: list[_Worker] = field(default_factory=list, init=False)
    _change: _Change | None = field(default=None, init=False)
    _leaving: list[_Worker] = field(default_factory=list, init=False)
    _silence: Silence = field(init=False)
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=_UNSTEADY), init=False)

    def __post_init__(self) -> None:
        self._silence = Silence(self.living)

    def start(self) -> bool:
        """Take over the living workers of this port, end other ones, start the missing; say whether any lived.

        Raises
        ------
        ConflictError
            Others than its own workers have the port, or are about to.
        UnavailableError
            Nobody could have the port, or a worker cannot be started.
        """
        self.log.mkdir(parents=True, exist_ok=True)
        if not self.count:
            return False
        taken = self._claimed()  # asked first: a worker says that it lives before it listens
        living = self.living()
        mine = [each for each in living if each.port == self.port]
        if taken is not None and not mine:
            raise taken
        found = {each.worker.rstrip(ascii_lowercase): _known(each) for each in mine}
        names = self._names("")
        kept = [found[name] for name in names if name in found]
        pids = {each.pid for each in kept}
        _end([_known(each) for each in living if each.pid not in pids])
        self._workers = [found.get(name) or self._launch(name) for name in names]
        return bool(kept)

    def renew(self, count: int, sets: int = 1) -> None:
        """Start `sets` of `count` workers beside those that serve; `keep` lets them take over once they can.

        What is being renewed already is given up for it.
        """
        if self._change is not None:
            self._leave(self._change.workers)
        taken = {each.name for each in self._workers + self._leaving}
        self.count, self.sets = count, sets
        mark = next(mark for mark in _MARKS if not taken & set(self._names(mark)))
        self._change = _Change(
            workers=[self._launch(name) for name in self._names(mark)], until=time.monotonic() + _READY_S
        )

    def keep(self) -> list[str]:
        """Start again those that died, after a wait that grows, and go on with a change; return what there is to say.

        Raises
        ------
        UnavailableError
            One cannot be started now; the next call tries again.
        """
        self._leaving = [each for each in self._leaving if not each.gone()]
        seen = self._renewed()
        hung = self._silence.hung() if self._workers else {}
        if hung and not self._can_be_written():  # where no report can be written, silence says nothing
            self._silence.forget()
            hung = {}
        for place, worker in enumerate(self._workers):
            code = worker.code()
            if code is None:
                if worker.pid in hung and not worker.killed:
                    worker.killed = True
                    worker.signal(signal.SIGKILL)
                    seen.append(
                        f"gateway worker {worker.name} has said nothing for {hung[worker.pid]:.0f} s and is killed: it "
                        "hangs, most often in the model's code; if it does so again, anew rollback goes back"
                    )
                continue
            if worker.again_at is None:
                worker.again_at = time.monotonic() + _BACKOFF_S[min(worker.deaths, len(_BACKOFF_S) - 1)]
                worker.deaths += 1
                seen.append(
                    f"gateway worker {worker.name} ended with code {code}; see {self.log}/gateway-{worker.name}.log"
                )
                seen += self._unsteady()
            elif time.monotonic() >= worker.again_at:
                # who was killed from outside, or by whom nobody knows, says nothing of the version that it served
                by_itself = worker.killed or (worker.process is not None and code not in _FROM_OUTSIDE)
                self._workers[place] = self._launch(worker.name, after_end=by_itself)
                self._workers[place].deaths = worker.deaths
        return seen

    def stop(self) -> None:
        """Let every worker finish what it answers, and end those that do not within the grace."""
        self._let_go(0)
        _end([*self._workers, *self._leaving, *(self._change.workers if self._change else [])])
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _claimed(self) -> ConflictError | UnavailableError | None:
        """Hold the port until `stop`, or return why not: its own workers may have it, which outlive who began them."""
        if self._claim is None:
            try:
                self._claim = claim_port(self.host, self.port)
            except (ConflictError, UnavailableError) as exc:
                return exc
        return None

    def _can_be_written(self) -> bool:
        try:
            with tempfile.TemporaryFile(dir=self.log) as probe:
                probe.write(bytes(_PROBE_BYTES))
        except OSError:
            return False
        return True

    def _unsteady(self) -> list[str]:
        """Note that a worker ended, and say when they do so again and again."""
        self._ends.append(time.monotonic())
        if len(self._ends) < _UNSTEADY or self._ends[-1] - self._ends[0] > _UNSTEADY_S:
            return []
        self._ends.clear()
        return [
            f"gateway workers ended {_UNSTEADY} times within {_UNSTEADY_S / 60:.0f} minutes: where the code of the "
            "version that serves ends them, its fallback answers and the loop goes back to that; without one nothing "
            "does, and the version has to be replaced"
        ]

    def _names(self, mark: str) -> list[str]:
        sides = ("", _GREEN)[: self.sets]
        return [f"{side}{number}{mark}" for side in sides for number in range(self.count)]

    def _renewed(self) -> list[str]:
        """Let the second set take over when all of it answers by the newest routing; give it up when it never will."""
        change = self._change
        if change is None:
            return []
        epochs = {each.pid: each.epoch for each in self.living()}
        newest = max((epochs.get(each.pid, 0) for each in self._workers), default=0)
        if not all(epochs.get(each.pid, -1) >= newest for each in change.workers):
            change.ready_at = None
        elif change.ready_at is None:
            change.ready_at = time.monotonic()
        elif time.monotonic() >= change.ready_at + _SETTLED_S:
            self._leave(self._workers)
            self._workers, self._change = change.workers, None
            self._let_go(self.count)
            return ["the gateway's workers were replaced: changed settings of serving are in force"]
        dead = [each.name for each in change.workers if each.code() is not None]
        if not dead and time.monotonic() < change.until:
            return []
        self._leave(change.workers)
        self._change = None
        names = ", ".join(dead or [each.name for each in change.workers])
        return [
            f"changed settings of serving are not in force: the new gateway worker {names} did not begin to serve; "
            f"the old ones go on; see {self.log}"
        ]

    def _let_go(self, kept: int) -> None:
        """Close the sockets but the first ones: they end with the workers that have them still."""
        for each in self._sockets[kept:]:
            each.close()
        del self._sockets[kept:]
        serving = {each.name.removeprefix(_GREEN) for each in self._workers} if kept else set()
        for name in self._ways.keys() - serving:
            for end in self._ways.pop(name):
                end.close()

    def _leave(self, workers: Sequence[_Worker]) -> None:
        for each in workers:
            each.signal(signal.SIGTERM)
        self._leaving += [replace(each, again_at=time.monotonic() + _GRACE_S) for each in workers]

    def _way(self, name: str) -> dict[str, str]:
        """Return what a worker of two sets is told of its own and of the way to its like in the other one."""
        if self.sets == 1:
            return {}
        green = name.startswith(_GREEN)
        pair = name.removeprefix(_GREEN)
        if pair not in self._ways:
            self._ways[pair] = way()
        return {"--side": "green" if green else "blue", "--peer": str(self._ways[pair][green].fileno())}

    def _launch(self, name: str, *, after_end: bool = False) -> _Worker:
        command = [sys.executable, "-m", "anew.app.gateway_worker"]
        command += ["--after-end"] if after_end else []
        command += [word for project in self.projects for word in ("--project", str(project))]
        command += ["--parts", self.parts] if self.parts else []
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        try:
            place = _place(name)
            while len(self._sockets) < max(self.count, place + 1):
                self._sockets.append(listen(self.host, self.port))
            descriptors = [each.fileno() for each in self._sockets]
            own = descriptors.pop(place)
            command += ["--worker", name, "--listener", str(own)]
            command += [word for each in descriptors for word in ("--beside", str(each))]
            way = self._way(name)
            command += [word for option, value in way.items() for word in (option, value)]
            with (self.log / f"gateway-{name}.log").open("ab") as log:
                process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(own, *descriptors, *(int(value) for value in way.values() if value.isdigit())),
                    env={**os.environ, **threads},
                    start_new_session=True,
                )
        except OSError as exc:
            raise UnavailableError(f"gateway worker {name} cannot be started: {exc}") from exc
        return _Worker(name=name, pid=process.pid, started=process_started(process.pid), process=process)


def _place(name: str) -> int:
    """Return the number in a worker's name: workers of two sets with one number share a socket."""
    return int(name.strip(ascii_lowercase))


def _known(status: WorkerStatus) -> _Worker:
    return _Worker(name=status.worker, pid=status.pid, started=status.started)


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.signal(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    while any(worker.code() is None for worker in workers):
        if time.monotonic() > deadline:
            for worker in workers:
                worker.signal(signal.SIGKILL)
        time.sleep(0.02)
