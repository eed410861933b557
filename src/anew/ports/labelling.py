"""A tool of somebody else's in which people answer what is reviewed, and which of its tasks are ours."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from anew.domain.column import Value
from anew.ports.review import LabelValue

__all__ = ["LabellingTool", "Placed", "PlacedTask", "Placement", "Reading"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What a tool is given to have an item answered; `answer` is the model's, None where people are not shown it."""

    item: str
    at: datetime
    row: Mapping[str, Value]
    answer: LabelValue | None = None
    score: float | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedTask:
    """A task as the tool has it: `votes` by labeller, None of who skipped it."""

    task: int
    item: str
    votes: Mapping[str, LabelValue | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a tool was seen to have: all of it, where `whole`."""

    tasks: Sequence[PlacedTask]
    whole: bool


class LabellingTool(Protocol):
    """Somebody else's tool. Belongs to one thread; raises UnavailableError when it does not answer as it should."""

    @property
    def prefix(self) -> str:
        """What the names of its labellers begin with, among all who vote."""
        ...

    def prepare(self) -> None:
        """See that there is a place for tasks; cheap when it has been seen before.

        Raises
        ------
        SettingsError
            What is there cannot be used, or it refuses who asks.
        """
        ...

    def changed(self) -> Reading:
        """Return what changed since the reading before, some of the rest as well; the first time, all of it."""
        ...

    def place(self, tasks: Sequence[Placement]) -> Mapping[str, int]:
        """Make tasks, and return their numbers by item; when it raises, any of them may have been made."""
        ...

    def widen(self, task: int, people: int) -> None:
        """Have so many people asked, all told; one at first."""
        ...

    def remove(self, task: int) -> None:
        """Delete a task with all that was said there; one that is gone already is no mistake."""
        ...


class Placed(Protocol):
    """Which items are where. What returned is on the medium. Raises UnavailableError when it does not answer."""

    def waiting(self, most: int) -> Sequence[Placement]:
        """Return open items that are nowhere yet."""
        ...

    def placing(self, items: Collection[str]) -> None:
        """Take note that tasks for these are about to be made."""
        ...

    def doubtful(self) -> bool:
        """Are there items of which tasks may have been made, or not?"""
        ...

    def place(self, tasks: Mapping[str, int]) -> None:
        """Take note of the tasks of items; what is in doubt otherwise has none, and waits again."""
        ...

    def task(self, item: str) -> int | None:
        """Return the task of an item; None where it has none, 0 where there is no such item."""
        ...

    def hear(self, item: str, prefix: str, votes: Mapping[str, LabelValue | None], now: datetime) -> bool:
        """Have the votes of labellers whose names begin so be these and no others; tell whether any changed."""
        ...

    def narrow(self) -> Sequence[tuple[str, int, int]]:
        """Return (item, task, people) of open items of which more people are to be asked than the tool was told."""
        ...

    def widened(self, item: str, people: int) -> None:
        """Take note that the tool was told to ask so many people."""
        ...

    def needless(self, prefix: str) -> Mapping[str, int]:
        """Return tasks whose items are gone, or were settled without anybody whose name begins so."""
        ...

    def keep(self, items: Collection[str]) -> None:
        """Take note that these are the only items with a task: those of others are gone, what was said there stays."""
        ...

    def forget(self, items: Collection[str]) -> None:
        """Take note that items have no task any more."""
        ...
