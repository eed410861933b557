"""One look at a rollout: what newly mature labels say of both models, as counts."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from anew.domain.evidence import Counts
from anew.loop.measure import Floats
from anew.stats.betting import discretise

__all__ = ["Counted", "Look", "Outcomes", "look"]

PAIRED_POINTS = 401
"""Grid points of paired gains from -1 to 1: a step of 0.005, well below any sensible margin."""
LOSS_POINTS = 201
"""Grid points of losses from 0 to 1: a step of 0.005."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """The labelled rows of a look.

    Attributes
    ----------
    champion, challenger
        Losses in [0, 1] of both models' answers by the measure that pairs are judged by, shape `(n,)`; NaN where a
        model did not answer or there is no label.
    champion_arm, challenger_arm
        The same by the measure that the arms are judged by.
    by_champion, by_challenger
        Who answered the caller, in its own right: one that stood in for the other is in neither arm.
    in_step
        Was it answered since the present step began? Only those count for the arms; all count for the pairs.
    users
        Whose request each is, shape `(n,)`; None where each request stands for itself.
    """

    champion: Floats
    challenger: Floats
    champion_arm: Floats
    challenger_arm: Floats
    by_champion: Flags
    by_challenger: Flags
    in_step: Flags
    users: npt.NDArray[np.str_] | None = None


@dataclass(slots=True)
class Counted:
    """The users that were counted already: in the rollout, and in its present step. `look` adds to them."""

    paired: set[str] = field(default_factory=set)
    arms: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Counts of one look at a rollout; see RolloutObserved."""

    paired_down: Counts
    paired_up: Counts
    champion_loss: Counts
    challenger_loss: Counts


def look(rows: Outcomes, counted: Counted | None = None) -> Look:
    """Count the mature outcomes of a look.

    Where requests have users, each user counts once in a rollout (in the arms: once in a step), by the mean over the
    look in which it was first seen: requests of one user resemble each other, and taken one by one they would promise
    evidence that is not there.
    """
    counted = counted if counted is not None else Counted()
    both = np.isfinite(rows.champion) & np.isfinite(rows.challenger)
    gain = _values(rows, rows.champion - rows.challenger, both, counted.paired)
    before = set(counted.arms)
    arms = []
    for loss, answered in ((rows.champion_arm, rows.by_champion), (rows.challenger_arm, rows.by_challenger)):
        seen = set(before)
        arms.append(_values(rows, loss, np.isfinite(loss) & rows.in_step & answered, seen))
        counted.arms |= seen
    paired = np.linspace(-1.0, 1.0, PAIRED_POINTS)
    return Look(
        paired_down=_counts(-1.0, discretise(gain, paired, "down"), PAIRED_POINTS),
        paired_up=_counts(-1.0, discretise(gain, paired, "up"), PAIRED_POINTS),
        champion_loss=_counts(0.0, _nearest(arms[0]), LOSS_POINTS),
        challenger_loss=_counts(0.0, _nearest(arms[1]), LOSS_POINTS),
    )


def _values(rows: Outcomes, values: Floats, chosen: Flags, seen: set[str]) -> Floats:
    """Return the chosen values; or, of users that were not seen before, the mean of each, who is seen from now on."""
    if rows.users is None:
        return values[chosen]
    names, place = np.unique(rows.users[chosen], return_inverse=True)
    means: Floats = np.bincount(place, weights=values[chosen], minlength=len(names)) / np.maximum(
        np.bincount(place, minlength=len(names)), 1
    )
    fresh = np.array([name not in seen for name in names.tolist()], dtype=np.bool_)
    seen.update(names.tolist())
    return np.clip(means[fresh], -1.0, 1.0) if len(names) else means


def _nearest(loss: Floats) -> npt.NDArray[np.intp]:
    points = np.rint(loss * (LOSS_POINTS - 1)).astype(np.intp)
    return np.bincount(points, minlength=LOSS_POINTS)


def _counts(low: float, counts: npt.NDArray[Any], points: int) -> Counts:
    assert len(counts) == points, f"{len(counts)} counts on a grid of {points}"  # noqa: S101  a broken invariant of ours
    return Counts(low=low, high=1.0, counts=tuple(counts.tolist()))
