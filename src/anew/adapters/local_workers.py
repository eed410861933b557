"""Pieces of work in processes of this machine."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from anew.adapters.job_worker import die_with
from anew.domain.errors import UnavailableError

__all__ = ["LocalWorkers", "beginning"]

Told = TypeVar("Told")
State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
"""Read when a library is loaded: Arrow's pool goes by the first."""
_SAFE_PATH = "PYTHONSAFEPATH"
"""Without it, `python -c`, by which processes begin, finds what it imports in the folder that it is called in."""


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """See `anew.ports.workers.Workers`. With one process, or one task, all is done in this one.

    Each of several processes works in one thread: as many as there are cores, each with a thread for each core, would
    spend their time on taking turns. No file in the folder that we are in is taken for a module while one begins.

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
        before = set(multiprocessing.active_children())
        known = (begin, told, os.getpid(), os.environ.get(_SAFE_PATH))
        working: set[BaseProcess] = set()
        with beginning(count):  # the pool begins the process that tracks semaphores
            pool = ProcessPoolExecutor(count, mp_context=context, initializer=_told, initargs=known)
        with pool:
            try:
                with beginning(count):
                    asked = {pool.submit(_work, work, task): number for number, task in enumerate(tasks)}
                working = set(multiprocessing.active_children()) - before
                for done in as_completed(asked):
                    yield asked[done], done.result()
            except BrokenProcessPool as exc:
                pool.shutdown(wait=True)
                raise UnavailableError(_lost(working)) from exc
            except KeyboardInterrupt:
                for each in working:
                    each.terminate()  # it may be at one task for long, and we would wait for it
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def beginning(count: int) -> Iterator[None]:
    """Let processes that begin now take no file of this folder for a module, and share the cores where they are many.

    What is said of it from outside stands.
    """
    names = [_SAFE_PATH, *(_ONE_THREAD if count > 1 else ())]
    added = [name for name in names if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _lost(working: Iterable[BaseProcess]) -> str:
    """Say how the first of the processes was lost; the others were ended by the pool, with SIGTERM."""
    codes = [each.exitcode for each in working if each.exitcode is not None]
    code = next((each for each in codes if each != -signal.SIGTERM), -signal.SIGTERM)
    if code == 1:
        return (
            "a process that worked ended with exit code 1 before it was done; see the traceback above, or, where there "
            "is none, have the code that ends it (os._exit) raise an exception instead"
        )
    if code >= 0:
        return (
            f"a process that worked ended with exit code {code} before it was done: code that it ran, of the project "
            "or of a library, ends the process (os._exit); have it raise an exception instead"
        )
    known = -code in set(signal.Signals)
    said = f"a process that worked was ended by {signal.Signals(-code).name if known else f'signal {-code}'}"
    return f"{said}; where memory ran out, free some, or take fewer processes" if code == -signal.SIGKILL else said


_batch: list[Any] = []
_states: list[Any] = []


def _told(begin: Callable[[Any], Any], told: object, parent: int, safe_path: str | None) -> None:
    die_with(parent)
    if safe_path is None:
        os.environ.pop(_SAFE_PATH, None)  # it was for this process, and not for those that its work begins
    _batch[:] = [begin, told]


def _work(work: Callable[[Any, Any], Any], task: object) -> Any:
    """Do a task; what would end a process is an error of the task: its answer would end the one that asked."""
    try:
        if not _states:  # not by the initializer, whose errors are lost
            begin, told = _batch
            _states.append(begin(told))
        return work(_states[0], task)
    except SystemExit as exc:
        frame = traceback.extract_tb(exc.__traceback__)[-1]
        said = f"code that worked wanted to end the process at {frame.filename}:{frame.lineno}: SystemExit: {exc}"
        raise UnavailableError(said) from exc
