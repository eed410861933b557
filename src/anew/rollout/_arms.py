"""Two arms that answer different requests at the same time, compared by their losses."""

from dataclasses import dataclass

import numpy as np

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.rollout._state import Probation
from anew.rollout.shadow import grid_of
from anew.stats.betting import difference_confidence_sequence

__all__ = ["Excess", "check_limits", "excess_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """How much more an arm loses than the champion's, with its sequence, and whether both have labels enough."""

    mean: float
    low: float
    high: float
    n: int
    enough: bool
    share: float
    confidence: float

    def __str__(self) -> str:
        """Say it as a ruling's reason begins."""
        return (
            f"excess loss {self.mean:+.4f} ({self.low:+.4f} to {self.high:+.4f}) on {self.n} labels at {self.share:.0%}"
        )

    def evidence(self, subject: str, reference: float) -> tuple[Evidence, ...]:
        """Return it as evidence about `subject`, held against `reference`."""
        interval = (self.low, self.high)
        return (
            Evidence.of(
                "excess_loss", self.mean, self.n,
                subject=subject, interval=interval, confidence=self.confidence, reference=reference,
            ),
        )  # fmt: skip


def check_limits(judge: object, *, harm: float, alpha: float, at_least_rows: int, margin: float | None) -> None:
    """Raise InvariantError where these are no limits of a judge."""
    if not (0 < harm < 1 and 0 < alpha < 0.5 and at_least_rows > 0):
        raise InvariantError(f"{judge}: harm in (0, 1), alpha in (0, 0.5) and at least one row are needed")
    if margin is not None and not 0 < margin < 1:
        raise InvariantError(f"{judge}: the margin lies in (0, 1), or is left out")


def excess_of(probation: Probation, *, harm: float, alpha: float, at_least_rows: int) -> Excess | str:
    """Compare the arms by a confidence sequence at `alpha`; a text says why nothing can be told of them yet."""
    ours, theirs = probation.challenger_loss, probation.champion_loss
    if ours is None or theirs is None or not ours.n or not theirs.n:
        return "no labels of both arms yet"
    mean = (ours.mean or 0.0) - (theirs.mean or 0.0)
    enough = min(ours.n, theirs.n) >= at_least_rows
    if mean <= harm and not enough:
        # No interval could change this, and it costs milliseconds.
        return f"excess loss {mean:+.4f} on {ours.n} labels; {at_least_rows} labels of each arm are needed"
    low, high = difference_confidence_sequence(np.array(ours.counts), np.array(theirs.counts), grid_of(ours), alpha)
    return Excess(mean=mean, low=low, high=high, n=ours.n, enough=enough, share=probation.share, confidence=1 - alpha)
