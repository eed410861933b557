"""Pieces of work in processes of this machine."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from anew.domain.errors import UnavailableError

__all__ = ["LocalWorkers"]

Told = TypeVar("Told")
State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """See `anew.ports.workers.Workers`. With one process, or one task, all is done in this one.

    Parameters
    ----------
    processes
        How many work at once.
    """

    processes: int

    @property
    def reads_our_files(self) -> bool:
        """They are on this machine."""
        return True

    def each(
        self, begin: Callable[[Told], State], told: Told, work: Callable[[State, Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result]]:
        """Yield what became of the tasks; one that is not asked for any more ends with the batch."""
        if self.processes == 1 or len(tasks) < 2:
            state = begin(told) if tasks else None
            for number, task in enumerate(tasks):
                yield number, work(state, task)  # type: ignore[arg-type]  # there is one where there are tasks
            return
        # A fresh interpreter for each: forked ones inherit locks of threads that are not there any more.
        context = multiprocessing.get_context("spawn")
        count = min(self.processes, len(tasks))
        with ProcessPoolExecutor(count, mp_context=context, initializer=_told, initargs=(begin, told)) as pool:
            try:
                asked = {pool.submit(_work, work, task): number for number, task in enumerate(tasks)}
                for done in as_completed(asked):
                    yield asked[done], done.result()
            except BrokenProcessPool as exc:
                raise UnavailableError("a process that worked was killed; free some memory, or take fewer") from exc
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


_batch: list[Any] = []
_states: list[Any] = []


def _told(begin: Callable[[Any], Any], told: object) -> None:
    _batch[:] = [begin, told]


def _work(work: Callable[[Any, Any], Any], task: object) -> Any:
    if not _states:  # not by the initializer, whose errors are lost
        begin, told = _batch
        _states.append(begin(told))
    return work(_states[0], task)
