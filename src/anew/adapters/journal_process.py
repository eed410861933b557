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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from anew.adapters.journal_line import GroupAnswer, group_told, unframed
from anew.adapters.segment_format import encode_record
from anew.domain.errors import AnewError, UnavailableError
from anew.domain.observation import Observation, ShadowAnswer
from anew.ports.journal import Written

__all__ = ["JournalProcess"]

_LOG = logging.getLogger("anew.gateway")
_COMMAND: Final = (sys.executable, "-m", "anew.adapters.journal_worker")
_END_S: Final = 20.0


@dataclass(slots=True)
class JournalProcess(asyncio.Protocol):
    """A `JournalWriter` of the journal in `folder`; see `SegmentJournal` for it and the parameters.

    It has the journal open when it is made, and raises what opening one raises. When its process ends, the group that
    is being written does not count as written, and the next one starts another process.
    """

    folder: Path
    most_bytes: int = 1 << 30
    segment_bytes: int = 16 << 20
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _line: socket.socket | None = field(default=None, init=False)
    _transport: asyncio.WriteTransport | None = field(default=None, init=False)
    _received: bytearray = field(default_factory=bytearray, init=False)
    _told: Written | None = field(default=None, init=False)
    _starting: asyncio.Task[None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._line = self._spawn()
        self._await_opening(self._line)

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    def write(self, records: Sequence[Observation | ShadowAnswer], told: Written) -> None:
        """Send the records to the process."""
        message = group_told(b"".join(map(encode_record, records)), len(records))
        self._told = told
        if self._transport is not None:
            self._transport.write(message)
        else:
            self._starting = asyncio.get_running_loop().create_task(self._start(message))

    async def close(self) -> None:
        """Have the process close the journal, and wait for its end."""
        if self._transport is not None:
            self._transport.close()
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            await asyncio.to_thread(self._bury)

    def data_received(self, data: bytes) -> None:
        """Tell what the process says of the group that it was sent."""
        self._received += data
        said = unframed(self._received)
        if said is not None:
            self._tell(said)

    def connection_lost(self, _: Exception | None) -> None:
        """Note that the process has ended; whoever waits is told."""
        self._transport = None
        if self._told is not None:
            self._tell(GroupAnswer(self._ended()))

    async def _start(self, message: bytes) -> None:
        """Have a process, connect to it, and send `message`; what hinders it is told."""
        try:
            line, self._line = self._line, None
            if line is None:
                if self._process is not None:
                    await asyncio.to_thread(self._bury)
                line = self._spawn()
                await asyncio.to_thread(self._await_opening, line)
            self._received.clear()
            transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=line)
        except (AnewError, OSError) as exc:
            problem = exc if isinstance(exc, AnewError) else UnavailableError(f"the journal has no process: {exc}")
            self._tell(GroupAnswer(problem))
            return
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(message)

    def _spawn(self) -> socket.socket:
        """Start a process, from the thread whose end is to be its own; return the line to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [*_COMMAND, str(self.folder), str(self.most_bytes), str(self.segment_bytes)]
            try:
                # A gateway's own signals are not its journal's: that ends when the line or its parent does.
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
                    [*command, str(theirs.fileno()), str(os.getpid())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        return ours

    def _await_opening(self, line: socket.socket) -> None:
        """Return when the process has opened the journal; else raise why not, with nothing left behind."""
        received = bytearray()
        while (said := unframed(received)) is None and (piece := line.recv(1 << 16)):
            received += piece
        problem = self._ended() if said is None else said.problem
        if problem is None:
            return
        line.close()
        self._line = None
        self._bury()
        raise problem

    def _tell(self, said: GroupAnswer) -> None:
        told, self._told = self._told, None
        if told is not None:
            told(said.problem, said.took_s)

    def _ended(self) -> UnavailableError:
        """Return what to say of a process that is gone."""
        code = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(1.0)  # its end of the line may close a moment before
        _LOG.error("journal_process_ended journal=%s code=%s", self.folder.name, code)
        return UnavailableError(
            f"the process that writes the journal {self.folder.name} ended (code {code}); what it was writing counts "
            "as not written, and the next group starts another"
        )

    def _bury(self) -> None:
        """Wait for the end of a process that has no line any more."""
        if self._process is not None:
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
