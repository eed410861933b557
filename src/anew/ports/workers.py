"""Work that is cut into independent pieces, done wherever there is room."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

__all__ = ["Workers"]

Told = TypeVar("Told")
State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers(Protocol):
    """Does tasks in processes of their own, here or elsewhere. Nothing is kept of it: a batch is done or begun again.

    Functions are those of a module, found by name in a fresh interpreter; all values are pickled.
    """

    @property
    def reads_our_files(self) -> bool:
        """Do they see the files of this machine?"""
        ...

    def each(
        self,
        begin: Callable[[Told], State],
        told: Told,
        work: Callable[[State, Task], Result],
        tasks: Sequence[Task],
    ) -> Iterator[tuple[int, Result]]:
        """Yield the number of each task with what ``work(state, task)`` returned, in the order in which they end.

        Parameters
        ----------
        begin
            Makes what a process works with from `told`, once in each process.

        Raises
        ------
        AnewError
            The one that a task raised. Other exceptions come as they are.
        UnavailableError
            A process, or the place where they are, was lost more often than a task is tried.
        """
        ...
