"""Counted work, noted."""

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Noted"]


@dataclass(slots=True)
class Noted:
    """Begins to count what it is called with, and notes what it hears of each, as what is done and of how much."""

    heard: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def __call__(self, what: str) -> Callable[[int, int], None]:
        """Begin anew."""
        counts = self.heard[what] = list[tuple[int, int]]()
        return lambda done, of: counts.append((done, of))

    def whole(self, what: str) -> int:
        """Return how much there was, all of which was counted, one after another."""
        counts = self.heard[what]
        assert counts == [(done, len(counts)) for done in range(1, len(counts) + 1)]
        return len(counts)
