"""A labelling tool in memory, for tests: people answer by a call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anew.domain.errors import UnavailableError
from anew.ports.labelling import PlacedTask, Placement, Reading
from anew.ports.review import LabelValue

__all__ = ["FakeLabellingTool"]


@dataclass
class FakeLabellingTool:
    """Keeps tasks with what was said.

    Attributes
    ----------
    placed, votes, people
        By task: what was placed, what was said by whom, and of how many people it is asked.
    problem
        Why it takes nothing; empty while it does.
    cut
        It makes the next tasks and the line is cut before it says so.
    """

    prefix: str = "fake/"
    placed: dict[int, Placement] = field(default_factory=dict)
    votes: dict[int, dict[str, LabelValue | None]] = field(default_factory=dict)
    people: dict[int, int] = field(default_factory=dict)
    problem: str = ""
    cut: bool = False
    whole: bool = True

    def prepare(self) -> None:
        """Refuse while there is a problem."""
        if self.problem:
            raise UnavailableError(self.problem)

    def changed(self) -> Reading:
        """Return everything."""
        self.prepare()
        tasks = [
            PlacedTask(task=task, item=placement.item, votes=dict(self.votes[task]))
            for task, placement in self.placed.items()
        ]
        return Reading(tasks=tasks, whole=self.whole)

    def place(self, tasks: Sequence[Placement]) -> Mapping[str, int]:
        """Make tasks."""
        self.prepare()
        made = {}
        for each in tasks:
            task = max(self.placed, default=0) + 1
            self.placed[task], self.votes[task] = each, {}
            made[each.item] = task
        if self.cut:
            self.cut = False
            raise UnavailableError("the line was cut")
        return made

    def widen(self, task: int, people: int) -> None:
        """Note it."""
        self.people[task] = people

    def remove(self, task: int) -> None:
        """Drop a task, if it is there."""
        self.placed.pop(task, None)
        self.votes.pop(task, None)

    def say(self, item: str, who: str, value: LabelValue | None) -> None:
        """Have somebody answer an item, anew or for the first time."""
        self._of(item)[f"{self.prefix}{who}"] = value

    def withdraw(self, item: str, who: str) -> None:
        """Have somebody take back what was said."""
        del self._of(item)[f"{self.prefix}{who}"]

    def _of(self, item: str) -> dict[str, LabelValue | None]:
        return next(self.votes[task] for task, each in self.placed.items() if each.item == item)
