"""Group commit for the event loop: whoever comes while a sync is under way joins the next one."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from anew.domain.observation import Observation, ShadowAnswer
from anew.ports.journal import Journal

__all__ = ["Committed", "GroupCommit"]

_Record = Observation | ShadowAnswer
Committed = Callable[[BaseException | None], None]
"""Is told once that records are on disk, or why they are not."""


@dataclass(slots=True)
class GroupCommit:
    """Hands records to a `Journal` from one event loop, without blocking it. Not thread-safe.

    Attributes
    ----------
    unsaved
        Records that nobody waited for and the journal did not take.
    problem
        Why the last commit failed, empty since one succeeded.
    """

    journal: Journal
    unsaved: int = 0
    problem: str = ""
    _waiting: list[tuple[Sequence[_Record], Committed]] = field(default_factory=list)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "anew-journal"))
    _busy: bool = False

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
        await asyncio.get_running_loop().run_in_executor(self._thread, self.journal.close)
        self._thread.shutdown()

    def _flush(self) -> None:
        if not self._waiting:
            self._busy = False
            return
        group, self._waiting = self._waiting, []
        records = [record for part, _ in group for record in part]
        done = asyncio.get_running_loop().run_in_executor(self._thread, self.journal.append, records)
        done.add_done_callback(lambda finished: self._settle(group, finished))

    def _settle(self, group: list[tuple[Sequence[_Record], Committed]], finished: asyncio.Future[int]) -> None:
        problem = asyncio.CancelledError() if finished.cancelled() else finished.exception()
        self.problem = "" if problem is None else str(problem)
        # the next group's sync is under way while these are told
        self._flush()
        for _, told in group:
            told(problem)
