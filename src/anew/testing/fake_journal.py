"""A journal in memory, which can refuse on order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from anew.domain.errors import UnavailableError
from anew.domain.observation import Observation, ShadowAnswer

__all__ = ["FakeJournal"]


@dataclass(slots=True)
class FakeJournal:
    """Keeps records in `records`; raises UnavailableError as long as `problem` says why. Not durable, of course.

    `commits` counts the calls of `append`.
    """

    records: list[Observation | ShadowAnswer] = field(default_factory=list)
    problem: str = ""
    commits: int = 0
    closed: bool = False

    def append(self, observations: Sequence[Observation | ShadowAnswer]) -> int:
        """Keep, or refuse."""
        self.commits += 1
        if self.problem:
            raise UnavailableError(self.problem)
        self.records += observations
        return len(self.records)

    def close(self) -> None:
        """Note it."""
        self.closed = True
