"""What a run took of the processors, part by part: the same facts that the metrics count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    SnapshotTaken,
    SpanFitted,
    SpansCompared,
)

__all__ = ["Spent", "seconds_of", "spent_on"]

_PARTS: Final[Mapping[type[Fact], str]] = {
    SnapshotTaken: "mending rows",
    CandidateTrained: "fit",
    SpanFitted: "fit beside",
    SpansCompared: "comparing spans",
    CandidateMeasured: "gates",
    EffectFailed: "what failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """CPU time of a run: `compute_s` in all, `parts` of it with their names, and the money where an hour has a price.

    `compute_s` is None of a run of which no part is over.
    """

    compute_s: float | None
    parts: tuple[tuple[str, float], ...]
    cost: float | None


def seconds_of(fact: Fact) -> float | None:
    """Return the CPU seconds that a part of a run took; None for a fact that is the end of none."""
    return float(getattr(fact, "compute_s", 0.0)) if type(fact) in _PARTS else None


def spent_on(about: Iterable[Fact], hour: float) -> Spent:
    """Add up what is on record about a version.

    Parameters
    ----------
    hour
        Money of an hour of CPU; 0 where the policy names none.
    """
    parts: dict[str, float] = {}
    for fact in about:
        seconds = seconds_of(fact)
        if seconds is not None:
            name = _PARTS[type(fact)]
            parts[name] = parts.get(name, 0.0) + seconds
    total = sum(parts.values()) if parts else None
    named = tuple((name, parts[name]) for name in _PARTS.values() if parts.get(name))
    return Spent(compute_s=total, parts=named, cost=None if total is None or not hour else total / 3600 * hour)
