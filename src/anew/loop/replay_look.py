"""What both models said to a piece of the stream, and what came of it: for a look at a rollout."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from anew.domain.facts import Stage, TrafficShifted
from anew.loop.look import Counted, Outcomes
from anew.loop.measure import Floats, Values
from anew.loop.replay_stream import ReplayStream
from anew.rollout import KPI

__all__ = ["LookedAt", "Seen", "seen_after"]


@dataclass(slots=True)
class Seen:
    """How far a challenger has been looked at.

    `step` is the row at which its present step began, `looked` the row up to which it was looked at.
    """

    at: tuple[Stage, float]
    step: int
    looked: int
    counted: Counted = field(default_factory=Counted)


def seen_after(before: Mapping[str, Seen], shift: TrafficShifted, now: int) -> dict[str, Seen]:
    """Return how far each challenger has been looked at under a routing from row `now` on; a new step counts anew."""
    found = {}
    for arm in shift.challengers:
        at, known = (shift.stage, arm.share), before.get(arm.version)
        if known is None:
            known = Seen(at, now, now)
        elif known.at != at:
            known = Seen(at, now, known.looked, Counted(paired=known.counted.paired))
        found[arm.version] = known
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """Rows `low` up to `high` of a stream; the present step began at row `step`."""

    low: int
    high: int
    step: int
    champion: str
    challenger: str

    def outcomes(self, stream: ReplayStream, paired_by: KPI | None, arms_by: KPI | None) -> Outcomes:
        """Return the losses of both models where the label is known, by the error where there is no KPI."""
        said = tuple(stream.answers(each, self.low, self.high) for each in (self.champion, self.challenger))
        known = stream.labels.known[self.low : self.high]
        paired, arms = ([self._losses(stream, each, kpi)[known] for each in said] for kpi in (paired_by, arms_by))
        served_by = stream.served_by[self.low : self.high][known]
        keys = np.asarray(stream.keys[self.low : self.high], dtype=np.str_)[known] if stream.columns.key else None
        return Outcomes(
            champion=paired[0],
            challenger=paired[1],
            champion_arm=arms[0],
            challenger_arm=arms[1],
            by_champion=served_by == self.champion,
            by_challenger=served_by == self.challenger,
            in_step=np.arange(self.low, self.high)[known] >= self.step,
            users=keys,
        )

    def _losses(self, stream: ReplayStream, output: Values, kpi: KPI | None) -> Floats:
        if kpi is None:
            scale = stream.versions[self.challenger].loss_scale
            return stream.loss(output, self.low, self.high, scale)
        rows = stream.frame.slice(self.low, self.high - self.low)
        return kpi.losses(rows, pl.Series(output), rows.get_column("_label"))
