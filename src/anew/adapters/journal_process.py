"""A journal written by a process of its own, so that the event loop never waits for the disk, nor for an interpreter.

A thread that syncs needs the interpreter between its calls, as the loop does: at 32 connections handing it to and fro
took as long as answering.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from anew.adapters.journal_line import GroupAnswer, group_told, unframed
from anew.adapters.segment_format import encode_record
from anew.domain.errors import UnavailableError
from anew.domain.observation import Observation, ShadowAnswer
from anew.ports.journal import Written

__all__ = ["JournalProcess"]

_LOG = logging.getLogger("anew.gateway")
_COMMAND: Final = (sys.executable, "-m", "anew.adapters.journal_worker")
_PAUSES_S: Final = (0.0, 0.0, 0.2, 1.0)  # before another process is started, by how often it ended in a row
_LIVED_S: Final = 10.0  # who ends after it, ends for the first time in a row
_END_S, _LOOK_S = 20.0, 0.005


@dataclass(slots=True)
class JournalProcess:
    """A `JournalWriter` of the journal in `folder`; see `SegmentJournal` for it and the parameters.

    When its process ends, the group that is being written does not count as written, and the next one starts another.
    `stored` is asked before each.
    """

    folder: Path
    most_bytes: int = 1 << 30
    segment_bytes: int = 16 << 20
    stored: Callable[[], int] = lambda: 0
    _line: "_Line | None" = field(default=None, init=False)
    _starting: asyncio.Task[None] | None = field(default=None, init=False)
    _ends: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._line is None else self._line.process.pid

    async def open(self) -> None:
        """Start the process, and return when it has the journal open; see `JournalWriter.open`."""
        self._line = await self._opened()

    def write(self, records: Sequence[Observation | ShadowAnswer], told: Written) -> None:
        """Send the records to the process."""
        message = group_told(b"".join(map(encode_record, records)), len(records))
        loop = asyncio.get_running_loop()
        if self._closed:
            loop.call_soon(told, UnavailableError(f"the journal {self.folder.name} is closed"), 0.0)
        elif self._line is not None and self._line.lost is None:
            self._line.ask(message, told)
        else:
            self._starting = loop.create_task(self._open_again(message, told))

    async def close(self) -> None:
        """Have the process close the journal, and wait for its end."""
        self._closed = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        line, self._line = self._line, None
        if line is not None:
            await line.end()

    async def _opened(self) -> "_Line":
        opened: asyncio.Future[GroupAnswer] = asyncio.get_running_loop().create_future()
        ours, process = self._spawn()
        line = _Line(self.folder.name, process)
        try:
            line.answered = opened.set_result
            await asyncio.get_running_loop().create_unix_connection(lambda: line, sock=ours)
            said = await opened
        except BaseException:
            line.answered = None
            ours.close()
            await line.end(at_once=True)
            raise
        if said.problem is not None:
            await line.end(at_once=True)
            raise said.problem
        return line

    async def _open_again(self, message: bytes, told: Written) -> None:
        """Start another process, and send it the group; what hinders it is told."""
        try:
            line, self._line = self._line, None
            if line is not None and line.lost is not None:
                await line.lost
                self._ends = 1 if time.monotonic() - line.began > _LIVED_S else self._ends + 1
            await asyncio.sleep(_PAUSES_S[min(self._ends, len(_PAUSES_S) - 1)])
            self._line = await self._opened()
        except Exception as exc:  # noqa: BLE001 - whoever waits is told
            self._ends += 1
            told(UnavailableError(f"the journal {self.folder.name} cannot be opened again: {exc}"), 0.0)
            return
        self._line.ask(message, told)

    def _spawn(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        """Start a process, from the thread whose end is to be its own; return it and the line to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                told = (self.folder, self.most_bytes, self.segment_bytes, self.stored(), theirs.fileno(), os.getpid())
                process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
                    [*_COMMAND, *map(str, told)],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        return ours, process


class _Line(asyncio.Protocol):
    """One process and the connection to it.

    Attributes
    ----------
    answered
        Who is told of the next answer.
    lost
        Done when a process that was not asked to end has ended; None while it lives.
    """

    def __init__(self, journal: str, process: subprocess.Popen[bytes]) -> None:
        self.journal = journal
        self.process = process
        self.began = time.monotonic()
        self.answered: Callable[[GroupAnswer], object] | None = None
        self.lost: asyncio.Task[None] | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._ending = False

    def ask(self, message: bytes, told: Written) -> None:
        """Send a group; `told` hears what it came to."""
        if self._transport is None:  # it ended in the moment since it was asked for
            asyncio.get_running_loop().call_soon(told, _ended(self.journal, self.process.returncode), 0.0)
            return
        self.answered = lambda said: told(said.problem, said.took_s)
        self._transport.write(message)

    async def end(self, *, at_once: bool = False) -> None:
        """Have the process close the journal and end, or end it at once; return when it has."""
        self._ending = True
        if self._transport is not None:
            self._transport.close()
        if at_once or await _code(self.process) is None:
            self.process.kill()
            await _code(self.process)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Tell what the process says, at the end of this turn of the loop: what is read in it is entered by then."""
        self._received += data
        said = unframed(self._received)
        if said is not None:
            self._answer(said)

    def connection_lost(self, _: Exception | None) -> None:
        """Note that the process has ended, or has to; whoever waits for it is told."""
        self._transport = None
        if not self._ending:
            # where it is this end that was lost: nothing may be written after what the next process finds
            self.process.kill()
            self.lost = asyncio.get_running_loop().create_task(self._bury())

    async def _bury(self) -> None:
        code = await _code(self.process)
        _LOG.error("journal_process_ended journal=%s code=%s", self.journal, code)
        self._answer(GroupAnswer(_ended(self.journal, code)))

    def _answer(self, said: GroupAnswer) -> None:
        answered, self.answered = self.answered, None
        if answered is not None:
            asyncio.get_running_loop().call_soon(answered, said)


def _ended(journal: str, code: int | None) -> UnavailableError:
    return UnavailableError(
        f"the process of the journal {journal} ended (code {code}); what it was to write counts as not written"
    )


async def _code(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code of a process that is about to end; None when it does not within some seconds."""
    until = time.monotonic() + _END_S
    while (code := process.poll()) is None and time.monotonic() < until:
        await asyncio.sleep(_LOOK_S)
    return code
