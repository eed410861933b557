"""Pieces of work in processes of this machine."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from anew.domain.errors import UnavailableError

__all__ = ["LocalWorkers"]

Told = TypeVar("Told")
State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
"""Read when a library is loaded: Arrow's pool goes by the first."""


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """See `anew.ports.workers.Workers`. With one process, or one task, all is done in this one.

    Each process works in one thread: as many as there are cores, each with a thread for each core, would spend their
    time on taking turns.

    Parameters
    ----------
    processes
        How many work at once.
    apart
        Does a single one work in a process of its own, too?
    """

    processes: int
    apart: bool = False

    @property
    def reads_our_files(self) -> bool:
        """They are on this machine."""
        return True

    def each(
        self, begin: Callable[[Told], State], told: Told, work: Callable[[State, Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result]]:
        """Yield what became of the tasks; one that is not asked for any more ends with the batch."""
        if not self.apart and (self.processes == 1 or len(tasks) < 2):
            state = begin(told) if tasks else None
            for number, task in enumerate(tasks):
                yield number, work(state, task)  # type: ignore[arg-type]  # there is one where there are tasks
            return
        # A fresh interpreter for each: forked ones inherit locks of threads that are not there any more.
        context = multiprocessing.get_context("spawn")
        count = min(self.processes, len(tasks))
        with ProcessPoolExecutor(count, mp_context=context, initializer=_told, initargs=(begin, told)) as pool:
            try:
                with _one_thread():
                    asked = {pool.submit(_work, work, task): number for number, task in enumerate(tasks)}
                for done in as_completed(asked):
                    yield asked[done], done.result()
            except BrokenProcessPool as exc:
                raise UnavailableError("a process that worked was killed; free some memory, or take fewer") from exc
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that begin now work in one thread, unless it is said from outside in how many."""
    added = [name for name in _ONE_THREAD if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


_batch: list[Any] = []
_states: list[Any] = []


def _told(begin: Callable[[Any], Any], told: object) -> None:
    _batch[:] = [begin, told]


def _work(work: Callable[[Any, Any], Any], task: object) -> Any:
    if not _states:  # not by the initializer, whose errors are lost
        begin, told = _batch
        _states.append(begin(told))
    return work(_states[0], task)
