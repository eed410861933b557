"""Drainers without processes, which may be slow, silent and mortal on order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from anew.domain.errors import AnewError, UnavailableError
from anew.ports.drainers import PreparedAnswer
from anew.ports.journal import JournalReader
from anew.ports.lake import Lake

__all__ = ["FakeDrainers"]


@dataclass(slots=True, kw_only=True)
class FakeDrainers:
    """`count` drainers that read when they are asked, and answer when they are heard.

    Parameters
    ----------
    lake
        Only prepares.
    chosen
        Which of so many answers comes next; None for none now.
    dies
        Has the one that is heard died instead?
    """

    reader: JournalReader
    lake: Lake
    count: int = 2
    chosen: Callable[[int], int | None] = lambda _: 0
    dies: Callable[[], bool] = lambda: False
    orders: list[tuple[str, int]] = field(default_factory=list)
    _answers: list[PreparedAnswer] = field(default_factory=list)

    def ask(self, journal: str, *, after: int, most: int) -> bool:
        """Read and prepare at once; a journal that somebody has an order for is asked for no second time."""
        if len(self._answers) >= self.count:
            return False
        if any(each.journal == journal for each in self._answers):
            raise AssertionError(f"journal {journal} was asked for twice")
        self.orders.append((journal, after))
        self._answers.append(self._prepared(journal, after, most))
        return True

    def answers(self, within_s: float) -> Sequence[PreparedAnswer]:
        """Return one, or none."""
        del within_s
        number = self.chosen(len(self._answers)) if self._answers else None
        if number is None:
            return ()
        answer = self._answers.pop(number)
        if not self.dies():
            return (answer,)
        return (PreparedAnswer(journal=answer.journal, problem=UnavailableError("a drainer ended")),)

    def _prepared(self, journal: str, after: int, most: int) -> PreparedAnswer:
        try:
            read = self.reader.read(journal, after=after, most=most)
            if read.position <= after:
                return PreparedAnswer(journal=journal)
            batch = self.lake.prepare(journal, read.position, read.observations, after=after)
        except AnewError as exc:
            return PreparedAnswer(journal=journal, problem=exc)
        return PreparedAnswer(journal=journal, batch=batch)
