"""What was measured, with its size and uncertainty: all that a decider ever judges."""

import math
from dataclasses import dataclass
from functools import lru_cache
from operator import add, mul

from anew.domain.errors import InvariantError
from anew.domain.raised import text_of
from anew.domain.shortage import shortage

__all__ = ["BROKEN", "Counts", "Evidence", "failure"]

BROKEN = "measure()"
"""Subject of the evidence of a component that failed to measure; its problem says how. No gate is to judge that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One measured number.

    Attributes
    ----------
    name
        What was measured: ``psi``, ``error``, ``paired_error``, ``p99_ms`` …
    subject
        On what: a column, a slice, a metric; empty for the whole.
    value
        The number, finite; None when nothing could be measured (then `problem` says why).
    n
        Rows that it rests on.
    reference
        The number it is compared with, when there is one (the champion's, the reference's).
    low, high
        Confidence interval of `value`, at the level `confidence`.
    p_value
        In [0, 1]; of the test that the docstring of the measuring component names.
    problem
        Why nothing was measured, in one sentence; evidence with a problem never passes.
    """

    name: str
    value: float | None
    n: int
    subject: str = ""
    reference: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    p_value: float | None = None
    problem: str = ""

    def __post_init__(self) -> None:
        for number in (self.value, self.reference, self.low, self.high, self.p_value):
            if number is not None and not math.isfinite(number):
                raise InvariantError(
                    f"evidence {self.name!r} on {self.subject!r} is {number}; "
                    "use Evidence.of, which records what is not finite"
                )
        if self.n < 0:
            raise InvariantError(f"evidence {self.name!r} rests on {self.n} rows")

    @classmethod
    def of(
        cls,
        name: str,
        value: float | None,
        n: int,
        *,
        subject: str = "",
        reference: float | None = None,
        interval: tuple[float, float] | None = None,
        confidence: float = 0.95,
        p_value: float | None = None,
        problem: str = "",
    ) -> "Evidence":
        """Make evidence from raw numbers; what is not finite becomes nothing measured, with a problem."""
        numbers = {"value": value, "reference": reference, "p_value": p_value}
        if interval is not None:
            numbers |= {"low": float(interval[0]), "high": float(interval[1])}
        bad = sorted(key for key, number in numbers.items() if number is not None and not math.isfinite(number))
        if bad:
            problem = problem or f"{', '.join(bad)} not finite"
            numbers = dict.fromkeys(numbers)
        clean = {key: None if number is None else float(number) for key, number in numbers.items()}
        if clean["value"] is None and not problem:
            problem = "nothing measured"
        return cls(name=name, n=n, subject=subject, confidence=confidence, problem=problem, **clean)

    @property
    def measured(self) -> bool:
        """Is there a number that may be judged?"""
        return self.value is not None and not self.problem and self.n > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A histogram of bounded outcomes on the even grid of `len(counts)` points from `low` to `high`.

    Mergeable, independent of any margin: the evidence of the rollout judge. Outcomes are rounded onto the grid
    against the claim that they may support, before they come here.
    """

    low: float
    high: float
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InvariantError(f"the grid of counts may not run from {self.low} to {self.high}")
        if len(self.counts) < 2 or min(self.counts) < 0:
            raise InvariantError("counts need at least two grid points and no negative number")

    @property
    def n(self) -> int:
        """Number of outcomes."""
        return sum(self.counts)

    def __add__(self, other: "Counts") -> "Counts":
        if (self.low, self.high, len(self.counts)) != (other.low, other.high, len(other.counts)):
            raise InvariantError("counts on different grids do not add up")
        return Counts(low=self.low, high=self.high, counts=tuple(map(add, self.counts, other.counts)))

    @property
    def mean(self) -> float | None:
        """Mean outcome, None of no outcomes."""
        n = self.n
        return sum(map(mul, self.counts, _grid(self.low, self.high, len(self.counts)))) / n if n else None


@lru_cache(maxsize=16)
def _grid(low: float, high: float, points: int) -> tuple[float, ...]:
    step = (high - low) / (points - 1)
    return tuple(low + i * step for i in range(points))


def failure(raised: BaseException) -> str:
    """Return what a component of somebody's own raised, short enough for a fact; what ran out is named first.

    >>> failure(MemoryError("2 GB"))
    'oom: out of memory: MemoryError: 2 GB'
    """
    reason, words = shortage(raised)
    said = f"{type(raised).__name__}: {text_of(raised)}"
    return (f"{reason}: {words}: {said}" if reason else said)[:300]
