"""Drainers as processes of this machine: started, watched, ended when they are silent, started again."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

from anew.adapters.drainer_line import DrainOrder, read_answer, told, unframed, write_columns
from anew.domain.column import Columns
from anew.domain.errors import IntegrityError, UnavailableError
from anew.ports.drainers import PreparedAnswer

__all__ = ["DrainerProcesses"]

_LOG = logging.getLogger("anew.drainers")
_BACKOFF_S = (0.2, 1.0, 5.0)
_READY_S = 90.0
_BEGIN_S = 2.0
_LOOK_S = 0.2
_LIVED_S = 60.0
_END_S, _LAST_S = 1.0, 30.0
_READ_BYTES = 1 << 20
_COMMAND = (sys.executable, "-P", "-m", "anew.adapters.drainer_worker")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


@dataclass(slots=True, kw_only=True)
class _Drainer:
    """One place for a process: when it `began`, when it was last `heard` or told, the journal it has at hand."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    line: socket.socket | None = None
    received: bytearray = field(default_factory=bytearray)
    ready: bool = False
    order: DrainOrder | None = None
    last: str = ""
    began: float = 0.0
    heard: float = 0.0
    deaths: int = 0
    again_at: float = 0.0


class DrainerProcesses:
    """Processes while it is entered; see `anew.ports.drainers.Drainers`.

    They die with the thread that enters it. One that is silent for `lease_s` while it has an order is killed before
    the order passes on, so that no two ever have one; whoever has that journal next is given twice as long, until there
    is an answer, so that what is merely slow comes to an end.

    Parameters
    ----------
    count
        How many.
    journals
        Folder of the journals.
    log
        Folder of their logs, one file each.
    """

    def __init__(self, count: int, journals: Path, columns: Columns, log: Path, *, lease_s: float = 15.0) -> None:
        self._journals = journals
        self._columns = columns
        self._log = log
        self._lease_s = lease_s
        self._drainers = [_Drainer(number=number) for number in range(count)]
        self._lost: list[PreparedAnswer] = []
        self._silences: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Start them, without waiting for them."""
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        """End them: what they are at is in the journals."""
        for each in self._drainers:
            if each.process is not None:
                each.process.kill()
        for each in self._drainers:
            _end(each, _LAST_S)

    def ask(self, journal: str, *, after: int, most: int) -> bool:
        """Have a batch prepared by one that is free, by the one that has the journal at hand if it can be."""
        for each in sorted(self._free(), key=lambda one: (one.last != journal, one.last != "")):
            order = DrainOrder(journal=journal, after=after, most=most)
            if self._tell(each, order):
                each.order, each.last = order, journal
                return True
        return False

    def answers(self, within_s: float) -> Sequence[PreparedAnswer]:
        """Return what was answered, as soon as there is anything."""
        deadline = time.monotonic() + within_s
        while True:
            self._look()
            found = [*self._lost]
            self._lost.clear()
            left = deadline - time.monotonic()
            for each in self._heard(0 if found else max(0.0, min(left, _LOOK_S))):
                found += self._hear(each)
            if found or left <= 0:
                return found

    def _free(self) -> list[_Drainer]:
        """Return those that can take an order; where all of them are just beginning, wait a little for the first."""
        deadline, wait_s = time.monotonic() + _BEGIN_S, 0.0
        while True:
            self._look()
            for each in self._heard(wait_s):
                if not each.ready:
                    self._hear(each)
            ready = [each for each in self._drainers if each.ready]
            begins = any(each.process is not None for each in self._drainers)
            if ready or not begins or time.monotonic() > deadline:
                return [each for each in ready if each.order is None]
            wait_s = _LOOK_S

    def _heard(self, within_s: float) -> list[_Drainer]:
        """Return those from whom something came."""
        lines = {each.line: each for each in self._drainers if each.line is not None}
        return [lines[line] for line in wait(list(lines), within_s)]  # type: ignore[index]  # it returns what it is given

    def _look(self) -> None:
        """Start those that are not there, and end those that are dead or silent."""
        now = time.monotonic()
        for each in self._drainers:
            if each.process is None:
                if now >= each.again_at:
                    self._start(each)
                continue
            if each.process.poll() is not None:
                self._bury(each)
            elif self._is_silent(each, now):
                if each.order is not None:
                    self._silences[each.order.journal] += 1
                self._lose(each, "was silent for longer than its lease lasts, and was killed")

    def _is_silent(self, each: _Drainer, now: float) -> bool:
        if not each.ready:
            term = _READY_S
        elif each.order is None:
            return False
        else:
            term = self._lease_s * 2 ** min(self._silences[each.order.journal], 6)
        # What it said while nobody listened is read first.
        return now - each.heard > term and not wait([each.line], 0)  # type: ignore[list-item]  # one that runs has a line

    def _hear(self, each: _Drainer) -> list[PreparedAnswer]:
        """Read what came from one, without ever waiting for the rest of it."""
        assert each.line is not None, "it was just heard"  # noqa: S101  an invariant of ours
        try:
            piece = each.line.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            piece = b""
        if not piece:
            self._bury(each)
            return []
        each.heard = time.monotonic()
        each.received += piece
        message = unframed(each.received)
        if message is None or not each.ready:
            each.ready = message is not None
            return []
        try:
            said = read_answer(message)
        except IntegrityError as exc:
            self._lose(each, f"said what is none of ours: {exc}")
            return []
        self._silences.pop(said.journal, None)
        each.order = None
        return [said]

    def _tell(self, each: _Drainer, order: DrainOrder) -> bool:
        assert each.line is not None, "one that runs has a line"  # noqa: S101  an invariant of ours
        try:
            each.line.sendall(told(order))
        except OSError:
            self._bury(each)
            return False
        each.heard = time.monotonic()
        return True

    def _start(self, each: _Drainer) -> None:
        each.began = each.heard = time.monotonic()
        try:
            self._log.mkdir(parents=True, exist_ok=True)
            each.line, its = socket.socketpair()
            with its, self._file(each).open("ab") as log, TemporaryFile() as columns:
                columns.write(write_columns(self._columns))
                columns.seek(0)
                each.process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
                    [*_COMMAND, str(self._journals), str(its.fileno()), str(os.getpid())],
                    stdin=columns,
                    stdout=log,
                    stderr=log,
                    pass_fds=(its.fileno(),),
                    env={**os.environ, **_ONE_THREAD},
                    start_new_session=True,
                )
        except OSError as exc:
            self._lose(each, f"cannot be started: {exc}")
            return
        each.line.setblocking(False)

    def _bury(self, each: _Drainer) -> None:
        """Say with which code one ended; its end of the line may close a moment before."""
        code = None
        if each.process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = each.process.wait(_END_S)
        how = "closed its line" if code is None else f"ended with code {code}"
        self._lose(each, f"{how}; see {self._file(each)}")

    def _lose(self, each: _Drainer, why: str) -> None:
        """Have the order of one that is gone answered, and let it be started again after a wait that grows."""
        _end(each)
        now = time.monotonic()
        each.deaths = 0 if now - each.began > _LIVED_S else each.deaths
        each.again_at = now + _BACKOFF_S[min(each.deaths, len(_BACKOFF_S) - 1)]
        each.deaths += 1
        _LOG.warning("drainer %d %s", each.number, why)
        if each.order is not None:
            problem = UnavailableError(
                f"drainer {each.number}, which read journal {each.order.journal}, {why}; it is read again"
            )
            self._lost.append(PreparedAnswer(journal=each.order.journal, problem=problem))
            each.order = None

    def _file(self, each: _Drainer) -> Path:
        return self._log / f"drainer-{each.number}.log"


def _end(each: _Drainer, within_s: float = _END_S) -> None:
    if each.process is not None:
        each.process.kill()
        with suppress(subprocess.TimeoutExpired):  # the kernel holds it still; it will never answer to anybody
            each.process.wait(within_s)
    if each.line is not None:
        each.line.close()
    each.process, each.line, each.ready = None, None, False
    each.received.clear()
