"""A version of two models, which answer as one."""

from dataclasses import dataclass

__all__ = ["Blend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Two models, fitted on two spans.

    Attributes
    ----------
    alone, beside
        Digests of the two as artifacts of their own: of the one fitted on the plan's span, and of the one beside it.
    weight
        Share of the first in what the version answers, in (0, 1]; at 1 it is the first, the second is only compared.
    snapshot, rows, sources
        Digest of the rows that the second was trained on, how many they are, and for each source its name, its rows
        that came and those that were kept.
    """

    alone: str
    beside: str
    weight: float
    snapshot: str
    rows: int
    sources: tuple[tuple[str, int, int], ...] = ()
