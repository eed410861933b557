"""What both models said to a piece of the stream, and what came of it: for a look at a rollout."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from anew.loop.look import Outcomes
from anew.loop.measure import Floats, Values
from anew.loop.replay_stream import ReplayStream
from anew.rollout import KPI

__all__ = ["LookedAt"]


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
