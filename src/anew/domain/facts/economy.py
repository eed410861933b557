"""Facts of the economic policy: what retired champions would have lost, beside the one that serves."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.interval import Interval

__all__ = ["RetiredScored", "RetiredScoringAsked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredScoringAsked(Fact):
    """The labels of a window are mature; asks what the champion and those it replaced lose there, by inference alone.

    `version` is the champion; `versions` pairs it, first, and retired champions with their digests.
    """

    asks: ClassVar[str] = "score_retired"
    together: ClassVar[bool] = True

    version: str
    versions: tuple[tuple[str, str], ...]
    window: Interval

    @property
    def key(self) -> str:
        """One per window."""
        return self.window.start.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredScored(Fact):
    """What each version lost in a window.

    One entry of `evidence` for each, named ``loss``, its `subject` the version: `value` is the mean loss, `reference`
    that of the champion, and `high` lies one standard error of the paired difference above `value`.
    """

    ends: ClassVar[bool] = True

    version: str
    window: Interval
    evidence: tuple[Evidence, ...]
