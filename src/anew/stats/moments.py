"""Count, mean and spread of numbers: taken of any part of them, and added up."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from anew.stats.column import Floats

__all__ = ["Moments"]


class Moments(NamedTuple):
    """`n` numbers, their mean, and the sum of the squares of their distances from it.

    The mean of none is 0. A mean that is not finite stays so, and has no spread (NaN).

    Examples
    --------
    >>> Moments.merged([Moments.of(np.array([1.0, 2.0])), Moments.of(np.array([6.0]))])
    Moments(n=3, mean=3.0, squares=14.0)
    """

    n: int
    mean: float
    squares: float

    @classmethod
    def of(cls, values: Floats) -> "Moments":
        """Take those of `values`, shape (n,)."""
        if not len(values):
            return cls(0, 0.0, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            return cls(len(values), mean, float(np.square(values - mean).sum()))

    @classmethod
    def merged(cls, parts: Iterable["Moments"]) -> "Moments":
        """Return those of all numbers of `parts`: what they would be taken together, but for rounding.

        References
        ----------
        Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", The American Statistician 37,
        for many parts at once.
        """
        rows = np.array([each for each in parts if each.n], dtype=np.float64).reshape(-1, 3)
        if not len(rows):
            return cls(0, 0.0, 0.0)
        n = rows[:, 0]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float((n * rows[:, 1]).sum() / n.sum())
            squares = float((rows[:, 2] + n * np.square(rows[:, 1] - mean)).sum())
        return cls(int(n.sum()), mean, squares)

    @property
    def variance(self) -> float:
        """Sample variance, with divisor n - 1; NaN of fewer than two numbers."""
        return self.squares / (self.n - 1) if self.n > 1 else math.nan
