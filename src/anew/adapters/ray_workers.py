"""Pieces of work as tasks of a Ray cluster."""

import multiprocessing
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import anew
from anew.adapters.local_workers import beginning
from anew.domain.errors import MissingExtraError, UnavailableError

__all__ = ["RayWorkers"]

Told = TypeVar("Told")
State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")

_RETRIES = 2
"""How often a task is begun again when its worker or its node died."""
_AHEAD = 2
"""Tasks that are sent for each core of the cluster: one that is worked at, and one that waits beside it."""


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """See `anew.ports.workers.Workers`. Nodes need the same release of anew, and none of our files.

    The cluster is spoken with by a process of its own: Ray ends the one that it is in when a cluster goes away.

    Parameters
    ----------
    address
        ``ray``, ``HOST:PORT`` or ``ray://HOST:PORT``.
    cpus
        Cores that each task is given.
    patience_s
        How long a cluster may take to let us in.
    """

    address: str
    cpus: float = 1.0
    patience_s: float = 60.0

    @property
    def reads_our_files(self) -> bool:
        """They may be anywhere."""
        return False

    def each(
        self, begin: Callable[[Told], State], told: Told, work: Callable[[State, Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result]]:
        """Yield what became of the tasks.

        Raises
        ------
        MissingExtraError
            The extra ``ray`` is not installed.
        UnavailableError
            The cluster does not answer, has gone away, or has another release of anew.
        """
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        batch = (self.address, self.cpus, begin, told, work)
        process = context.Process(target=_link, args=(theirs, batch, tasks), daemon=True)
        with beginning(1):
            process.start()
        theirs.close()
        left = len(tasks)
        try:
            if tasks and not ours.poll(self.patience_s):
                why = f"it let nobody in for {self.patience_s:g} s"
                raise UnavailableError(f"the Ray cluster at {self.address} does not answer: {why}")
            while left:
                said, number, result = ours.recv()
                if said == "raised":
                    raise result
                if said == "done":
                    left -= 1
                    yield number, result
        except EOFError as exc:
            raise UnavailableError(f"the Ray cluster at {self.address} went away before all was done") from exc
        finally:
            process.kill()
            process.join()
            ours.close()


def _link(pipe: Connection, batch: tuple[str, float, Any, object, Any], tasks: Sequence[object]) -> None:
    """Send tasks to the cluster and results to whom they are for; the child's main function."""
    address, cpus, begin, told, work = batch
    try:
        import ray  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        pipe.send(("raised", 0, MissingExtraError("ray", "ray")))
        return
    try:
        where = "auto" if address == "ray" else address
        ray.init(address=where, log_to_driver=False, configure_logging=False)
        pipe.send(("open", 0, None))
        shared = ray.put((uuid.uuid4().hex, anew.__version__, begin, told))
        task = ray.remote(_far).options(max_retries=_RETRIES, num_cpus=cpus)
        most = max(1, int(ray.cluster_resources().get("CPU", 1.0) / cpus)) * _AHEAD
        asked: dict[Any, int] = {}
        sent = 0
        while sent < len(tasks) or asked:
            while sent < len(tasks) and len(asked) < most:
                asked[task.remote(shared, work, tasks[sent])] = sent
                sent += 1
            for done in ray.wait(list(asked), num_returns=1)[0]:
                pipe.send(("done", asked.pop(done), ray.get(done)))
    except ray.exceptions.RayTaskError as exc:
        pipe.send(("raised", 0, exc.cause))
    except (ray.exceptions.RayError, ConnectionError) as exc:
        said = str(exc).strip().splitlines()
        why = said[0][:200] if said else type(exc).__name__
        pipe.send(("raised", 0, UnavailableError(f"the Ray cluster at {address} does not do it: {why}")))


_states: dict[str, Any] = {}


def _far(shared: tuple[str, str, Any, object], work: Any, task: object) -> Any:
    """Do a task on a node; its process keeps what it works with for the next one of the same batch."""
    batch, version, begin, told = shared
    if version != anew.__version__:
        raise UnavailableError(f"this node has anew {anew.__version__}, the program that asks is {version}")
    if batch not in _states:
        _states.clear()
        _states[batch] = begin(told)
    return work(_states[batch], task)
