"""Group commit for the event loop: whoever comes while a sync is under way joins the next one."""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

from anew.domain.observation import Observation, ShadowAnswer
from anew.ports.journal import Journal

__all__ = ["Committed", "GroupCommit", "Held"]

_Record = Observation | ShadowAnswer
Committed = Callable[[BaseException | None], None]
"""Is told once that records are on disk, or why they are not."""
_Group = list[tuple[Sequence[_Record], Committed]]
_QUICK_S, _LINGER, _MOST_S = 0.001, 0.25, 0.005  # no wait after a quick sync; else a quarter of it, 5 ms at most
_AT_ONCE_S = 0.0005  # what takes longer may not keep those waiting whose records are on disk
_Handed = tuple[asyncio.AbstractEventLoop, _Group]


class Held(Protocol):
    """Whoever holds work back until the disk is free."""

    def holds(self) -> bool:
        """Is there any?"""
        ...

    def takes_s(self) -> float:
        """For how long will entering it keep the loop?"""
        ...

    def freed(self) -> None:
        """Enter it now: it is part of the next commit."""
        ...


@dataclass(slots=True)
class GroupCommit:
    """Hands records to a `Journal` from one event loop, without blocking it. Not thread-safe.

    Attributes
    ----------
    unsaved
        Records that nobody waited for and the journal did not take.
    problem
        Why the last commit failed, empty since one succeeded.
    held
        Who holds back what would only wait for the commit under way.
    """

    journal: Journal
    unsaved: int = 0
    problem: str = ""
    held: Held | None = None
    _waiting: _Group = field(default_factory=list)
    _handed: SimpleQueue[_Handed | None] = field(default_factory=SimpleQueue)
    _thread: threading.Thread | None = None
    _busy: bool = False
    _since: float = math.inf

    @property
    def busy(self) -> bool:
        """Is a commit under way or about to be? Then what is held will be freed."""
        return self._busy

    @property
    def waiting_s(self) -> float:
        """For how long the disk has been at the present commit; 0 while it is at none."""
        return max(0.0, time.perf_counter() - self._since)

    async def append(self, records: Sequence[_Record]) -> None:
        """Return when `records` are on disk; raises what `Journal.append` raises."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(problem: BaseException | None) -> None:
            if future.done():
                return
            if problem is None:
                future.set_result(None)
            else:
                future.set_exception(problem)

        self.enter(records, told)
        await future

    def later(self, records: Sequence[_Record]) -> None:
        """Have `records` written with the next commit; nobody learns whether they were, failures are counted."""

        def told(problem: BaseException | None) -> None:
            self.unsaved += len(records) if problem is not None else 0

        self.enter(records, told)

    def enter(self, records: Sequence[_Record], told: Committed) -> None:
        """Have `records` written with the next commit; `told` hears of it on this loop."""
        self._waiting.append((records, told))
        if not self._busy:
            self._busy = True
            # at the end of this turn of the loop, so that the requests answered in it share the sync
            asyncio.get_running_loop().call_soon(self._flush)

    async def close(self) -> None:
        """Write what waits, then close the journal."""
        while self._busy or self._waiting:
            await asyncio.sleep(0.005)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._handed.put(None)
        if thread is not None:
            await asyncio.to_thread(thread.join)
        await asyncio.to_thread(self.journal.close)

    def _flush(self) -> None:
        if self.held is not None:
            self.held.freed()
        if not self._waiting:
            self._busy, self._since = False, math.inf
            return
        group, self._waiting = self._waiting, []
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="anew-journal", daemon=True)
            self._thread.start()
        self._since = time.perf_counter()
        self._handed.put((asyncio.get_running_loop(), group))

    def _write(self) -> None:
        """Be the thread that waits for the disk."""
        while (handed := self._handed.get()) is not None:
            loop, group = handed
            problem: Exception | None = None
            try:
                self.journal.append([record for records, _ in group for record in records])
            except Exception as exc:  # noqa: BLE001 - whoever waits is told
                problem = exc
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._settle, group, problem)

    def _settle(self, group: _Group, problem: Exception | None) -> None:
        self.problem = "" if problem is None else str(problem)
        took, self._since = time.perf_counter() - self._since, math.inf
        # the disk should not lie idle for the time of telling, nor an answer that is safe wait for a slow model
        told_first = self.held is not None and self.held.takes_s() > _AT_ONCE_S
        if told_first:
            _tell(group, problem)
        if took > _QUICK_S and (self._waiting or (self.held is not None and self.held.holds())):
            # those who are told now will come again soon: with a slow disk it pays to have them in the same sync
            asyncio.get_running_loop().call_later(min(_LINGER * took, _MOST_S), self._flush)
        else:
            self._flush()
        if not told_first:
            _tell(group, problem)


def _tell(group: _Group, problem: Exception | None) -> None:
    for _, told in group:
        told(problem)
