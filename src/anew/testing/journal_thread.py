"""A journal of this process, written by a thread."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

from anew.domain.observation import Observation, ShadowAnswer
from anew.ports.journal import Journal, Written

__all__ = ["JournalThread"]

_Handed = tuple[asyncio.AbstractEventLoop, Sequence[Observation | ShadowAnswer], Written]


@dataclass(slots=True)
class JournalThread:
    """A `JournalWriter` for any `Journal`. The thread shares the interpreter with the loop, and each waits for it."""

    journal: Journal
    _handed: SimpleQueue[_Handed | None] = field(default_factory=SimpleQueue)
    _thread: threading.Thread | None = None

    async def open(self) -> None:
        """Do nothing: it was open before it came here."""

    def write(self, records: Sequence[Observation | ShadowAnswer], told: Written) -> None:
        """Hand the records to the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="anew-journal", daemon=True)
            self._thread.start()
        self._handed.put((asyncio.get_running_loop(), records, told))

    async def close(self) -> None:
        """End the thread, then close the journal."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._handed.put(None)
            await asyncio.to_thread(thread.join)
        await asyncio.to_thread(self.journal.close)

    def _write(self) -> None:
        """Be the thread that waits for the disk."""
        while (handed := self._handed.get()) is not None:
            loop, records, told = handed
            problem: Exception | None = None
            began = time.perf_counter()
            try:
                self.journal.append(records)
            except Exception as exc:  # noqa: BLE001 - whoever waits is told
                problem = exc
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(told, problem, time.perf_counter() - began)
