"""A search for parameters: trials that are asked for, scored step by step, and kept whatever happens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

__all__ = ["Attempt", "Scores", "Space", "Study", "Trial", "TrialState"]

Space = Callable[[Any], Mapping[str, Any]]
"""The user's ``search_space(trial)``: asks the trial for values and returns parameters."""


class TrialState(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One set of parameters that is tried.

    Attributes
    ----------
    number
        Counted from 0 in the order of asking.
    suggested
        The values that the space asked for, by name; `params` is what it made of them.
    means
        Mean loss over the folds so far, after each; the last one is the trial's loss once it is COMPLETE.
    problem
        Why it FAILED.
    """

    number: int
    state: TrialState
    suggested: Mapping[str, Any]
    params: Mapping[str, Any]
    means: tuple[float, ...] = ()
    problem: str = field(default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One fit that a search asks for: parameters, and the fold to score them on."""

    number: int
    fold: int
    params: Mapping[str, Any]


Scores = Callable[[Sequence[Attempt]], Sequence[float | str]]
"""Fits and scores attempts, all at once where there are processes for it.

For each a loss, of which less is better, or a sentence that says what went wrong.
"""


class Study(Protocol):
    """The trials of one search. Not thread-safe; one process works on it at a time.

    All that a method was told is kept when it returns: after a crash `trials` has it, and `ask` goes on where it
    stopped. What is suggested follows from the seed, the number of the trial and the trials that ended before.
    """

    def trials(self) -> Sequence[Trial]:
        """Return every trial in order of number."""
        ...

    def ask(self, space: Space) -> Trial:
        """Return the next trial; raises what `space` raises."""
        ...

    def report(self, number: int, mean: float) -> None:
        """Add a mean to a running trial."""
        ...

    def is_hopeless(self, number: int) -> bool:
        """Is the last mean of a running trial worse than the median of what complete trials had at that fold?"""
        ...

    def end(self, number: int, state: TrialState, problem: str = "") -> None:
        """End a running trial; complete, its loss is its last mean."""
        ...

    def elapsed_s(self) -> float:
        """Return the seconds since the first trial was asked for; 0 before."""
        ...
