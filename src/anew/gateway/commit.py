"""Group commit for the event loop: whoever comes while a sync is under way joins the next one."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from anew.domain.observation import Observation, ShadowAnswer
from anew.ports.journal import JournalWriter

__all__ = ["Committed", "GroupCommit", "Held", "Meanwhile"]

_Record = Observation | ShadowAnswer
Committed = Callable[[BaseException | None], None]
"""Is told once that records are on disk, or why they are not."""
Meanwhile = Callable[[], None]
"""Is called while records are on their way to disk."""
_Group = list[tuple[Sequence[_Record], Committed, Meanwhile | None]]
_QUICK_S, _LINGER, _MOST_S = 0.001, 0.25, 0.005  # no wait after a quick sync; else a quarter of it, 5 ms at most
_AT_ONCE_S = 0.0005  # what takes longer may not keep those waiting whose records are on disk


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
    """Hands records to a `JournalWriter` from one event loop, without blocking it. Not thread-safe.

    Attributes
    ----------
    unsaved
        Records that nobody waited for and the journal did not take.
    problem
        Why the last commit failed, empty since one succeeded.
    held
        Who holds back what would only wait for the commit under way.
    busy
        Is a commit under way or about to be? Then what is held will be freed.
    since
        When the disk began with the present commit, as `time.perf_counter` reads it; infinite while it is at none.
    """

    journal: JournalWriter
    unsaved: int = 0
    problem: str = ""
    held: Held | None = None
    busy: bool = field(default=False, init=False)
    since: float = field(default=math.inf, init=False)
    _waiting: _Group = field(default_factory=list, init=False)

    @property
    def waiting_s(self) -> float:
        """For how long the disk has been at the present commit; 0 while it is at none."""
        return max(0.0, time.perf_counter() - self.since)

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

    def enter(self, records: Sequence[_Record], told: Committed, meanwhile: Meanwhile | None = None) -> None:
        """Have `records` written with the next commit; `told` hears of it on this loop.

        What is to be done whether they get to disk or not is for `meanwhile`: the loop would be idle then. It may not
        raise.
        """
        self._waiting.append((records, told, meanwhile))
        if not self.busy:
            self.busy = True
            # at the end of this turn of the loop, so that the requests answered in it share the sync
            asyncio.get_running_loop().call_soon(self._flush)

    async def close(self) -> None:
        """Write what waits, and what challengers that were just ended leave behind; then close the journal."""
        await asyncio.sleep(0)
        while self.busy or self._waiting:
            await asyncio.sleep(0.005)
        await self.journal.close()

    def _flush(self) -> None:
        if self.held is not None:
            self.held.freed()
        if not self._waiting:
            self.busy, self.since = False, math.inf
            return
        group, self._waiting = self._waiting, []
        self.since = time.perf_counter()
        told = partial(self._settle, group)
        try:
            self.journal.write([record for records, _, _ in group for record in records], told)
        except Exception as exc:  # noqa: BLE001 - whoever waits is told
            asyncio.get_running_loop().call_soon(told, exc, 0.0)
        # not before the next turn of the loop: at the end of this one the records leave
        asyncio.get_running_loop().call_soon(_do_meanwhile, group)

    def _settle(self, group: _Group, problem: Exception | None, took: float) -> None:
        self.problem = "" if problem is None else str(problem)
        self.since = math.inf
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


def _do_meanwhile(group: _Group) -> None:
    for _, _, meanwhile in group:
        if meanwhile is not None:
            meanwhile()


def _tell(group: _Group, problem: Exception | None) -> None:
    for _, told, _ in group:
        told(problem)
