"""A challenger in its own process: asked over a socket, under a deadline, restarted when it dies."""

import asyncio
import logging
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from anew.domain.column import Columns, Value
from anew.domain.errors import AnewError, UnavailableError
from anew.domain.observation import Answer
from anew.gateway.failure_log import FirstOfKind
from anew.gateway.sanity import nonsense
from anew.gateway.settings import GatewaySettings
from anew.gateway.wire import HEAD, Question, Reply, decode_reply, encode_frame

__all__ = ["Challenger", "ChallengerError", "Launch"]

Launch = Callable[[int], Sequence[str]]
"""Returns the command that serves the challenger on the socket with this file descriptor."""

_LOG = logging.getLogger("anew.gateway")
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.2, 30.0
_ENDS_IN = 50
"""Looks for the exit code of a process whose socket is closed, 20 ms apart."""


class ChallengerError(AnewError):
    """The challenger gave no usable answer; the message is the reason, one of those of `VersionHealth.failed`."""


@dataclass(slots=True)
class _Asked:
    future: asyncio.Future[Sequence[Answer]]
    rows: int
    timer: asyncio.TimerHandle


@dataclass(slots=True)
class Challenger:
    """One version in a process of its own. Belongs to one event loop; `ask` never blocks and never raises.

    Parameters
    ----------
    launch
        The command of the process; it has to say it is ready before it counts as started.
    """

    version: str
    digest: str
    columns: Columns
    settings: GatewaySettings
    launch: Launch
    _process: subprocess.Popen[bytes] | None = None
    _writer: asyncio.StreamWriter | None = None
    _reader: asyncio.StreamReader | None = None
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _next: int = 1
    _misses: int = 0
    _supervisor: asyncio.Task[None] | None = None
    _cpu_s: float = 0.0
    _ended_s: float = 0.0
    _first: FirstOfKind = field(default_factory=FirstOfKind)

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return None if self._process is None else self._process.pid

    @property
    def cpu_s(self) -> float:
        """CPU seconds of its processes, the ended ones included, as far as they have told."""
        return self._ended_s + self._cpu_s

    async def start(self) -> None:
        """Start the process and wait until it has loaded the version.

        Raises
        ------
        UnavailableError
            It did not: the message has its reason.
        """
        try:
            await self._spawn()
        except BaseException:
            self._end()
            raise
        self._supervisor = asyncio.create_task(self._supervise())

    def ask(self, rows: Sequence[Mapping[str, Value]]) -> asyncio.Future[Sequence[Answer]]:
        """Ask for answers; the future has them, or a ChallengerError, within the deadline."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[Answer]] = loop.create_future()
        if self._writer is None or self._writer.is_closing():  # whoever reads from it may not have been woken yet
            future.set_exception(ChallengerError("crashed"))
            return future
        if len(self._asked) >= self.settings.most_in_flight:
            self._tell("overload", f"{len(self._asked)} questions wait for its answers")
            future.set_exception(ChallengerError("overload"))
            return future
        id, self._next = self._next, self._next + 1
        seconds = self.settings.deadline_ms / 1000
        self._asked[id] = _Asked(future, len(rows), loop.call_later(seconds, self._miss, id))
        self._writer.write(encode_frame(Question(id=id, deadline=time.monotonic() + seconds, rows=rows)))
        return future

    def close(self) -> None:
        """End the process; what is still asked for ends as crashed."""
        if self._supervisor is not None:
            self._supervisor.cancel()
        self._end()

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # A gateway's own signals are not the challenger's: it ends when the socket or its parent does.
            self._process = subprocess.Popen(  # noqa: S603 - the command is made by our own wiring
                list(self.launch(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 26)
        try:
            async with asyncio.timeout(self.settings.load_timeout_s):
                reply = await self._read()
        except TimeoutError as exc:
            writer.close()
            raise UnavailableError(
                f"{self.version} did not load within {self.settings.load_timeout_s} s in its own process"
            ) from exc
        except (asyncio.IncompleteReadError, OSError, msgspec.MsgspecError) as exc:
            writer.close()
            how = await self._how_ended()
            raise UnavailableError(f"the process of {self.version} ended while loading it: {how}") from exc
        if reply.problem:
            writer.close()
            raise UnavailableError(f"{self.version} could not be loaded: {reply.problem}")
        self._writer, self._misses, self._cpu_s = writer, 0, reply.cpu_s

    async def _supervise(self) -> None:
        """Read replies; when the process ends, start it again, more slowly each time."""
        pause = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                while True:
                    self._settle(await self._read())
            except msgspec.MsgspecError as exc:
                _LOG.warning("challenger_ended version=%s reason=what it said is no reply: %s", self.version, exc)
            except (asyncio.IncompleteReadError, OSError):
                self._hang_up()
                _LOG.warning("challenger_ended version=%s reason=%s", self.version, await self._how_ended())
            self._end()
            if time.monotonic() - began > _LAST_PAUSE_S:
                pause = _FIRST_PAUSE_S
            while self._writer is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE_S)
                try:
                    await self._spawn()
                except OSError as exc:  # UnavailableError is one; others: no descriptor or process to be had
                    _LOG.warning("challenger_not_restarted version=%s problem=%s", self.version, exc)
                    self._end()

    async def _how_ended(self) -> str:
        """Return how the process ended that has closed its socket; it may take a moment to."""
        for _ in range(_ENDS_IN):
            code = None if self._process is None else self._process.poll()
            if code is not None:
                return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
            await asyncio.sleep(0.02)
        return "it closed its socket, and did not end"

    async def _read(self) -> Reply:
        if self._reader is None:
            raise ConnectionError("no process")
        (length,) = HEAD.unpack(await self._reader.readexactly(HEAD.size))
        return decode_reply(await self._reader.readexactly(length))

    def _settle(self, reply: Reply) -> None:
        self._misses = 0
        self._cpu_s = max(self._cpu_s, reply.cpu_s)
        failed = reply.problem or reply.answers is None
        if failed:  # also too late: it says why the first time alone
            self._tell("error", reply.problem, kind=reply.problem.partition(" ")[0].rstrip(":"))
        asked = self._asked.pop(reply.id, None)
        if asked is None:
            return  # it came after the deadline
        asked.timer.cancel()
        if asked.future.done():
            return
        if failed or reply.answers is None:
            asked.future.set_exception(ChallengerError("error"))
        elif problem := nonsense(reply.answers, asked.rows, self.columns):
            self._tell("nonsense", problem)
            asked.future.set_exception(ChallengerError("nonsense"))
        else:
            asked.future.set_result(reply.answers)

    def _miss(self, id: int) -> None:
        asked = self._asked.pop(id, None)
        if asked is None:
            return
        if not asked.future.done():
            self._tell("deadline", f"no answer to {asked.rows} rows within {self.settings.deadline_ms:g} ms")
            asked.future.set_exception(ChallengerError("deadline"))
        self._misses += 1
        if self._misses >= self.settings.misses_before_kill and self._process is not None:
            _LOG.warning("challenger_killed version=%s misses=%d", self.version, self._misses)
            self._process.kill()

    def _tell(self, reason: str, problem: str, *, kind: str = "") -> None:
        """Log the first failure of each kind."""
        if self._first(reason, kind):
            _LOG.warning(
                "challenger_failed version=%s reason=%s problem=%s; more of these are counted alone",
                self.version, reason, problem,
            )  # fmt: skip

    def _end(self) -> None:
        """Leave no process, no socket and no open question behind."""
        self._hang_up()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._ended_s, self._cpu_s = self.cpu_s, 0.0

    def _hang_up(self) -> None:
        """Close the socket; what is still asked for ends as crashed."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        asked, self._asked = self._asked, {}
        for entry in asked.values():
            entry.timer.cancel()
            if not entry.future.done():
                entry.future.set_exception(ChallengerError("crashed"))
