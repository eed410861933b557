"""Facts of models that share one compute budget: who waits for it, why, and whose turn it is."""

from dataclasses import dataclass
from datetime import datetime

from anew.domain.fact import Fact
from anew.domain.interval import require_utc

__all__ = ["RetrainAdmitted", "RetrainQueued"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainQueued(Fact):
    """A request waits for compute that several models share; on record once for each reason.

    Attributes
    ----------
    wall
        Wall time at which it was found waiting.
    request
        Id of the request.
    reason, detail
        Why it waits: one word (``turn``, ``compute``, ``too_dear``), and a sentence with the numbers.
    due
        Wall time from which it goes before all that are due later, whatever they save.
    place, of
        Its place among those that waited then, from 1, and how many they were.
    rate
        Share of the price of a retrain that an hour of waiting costs; None where that is not known.
    """

    wall: datetime
    request: str
    reason: str
    detail: str
    due: datetime
    place: int
    of: int
    rate: float | None = None

    def __post_init__(self) -> None:
        super(RetrainQueued, self).__post_init__()
        require_utc(self.wall, "wall")
        require_utc(self.due, "due")

    @property
    def key(self) -> str:
        """One for each reason."""
        return self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainAdmitted(Fact):
    """A request has its turn at compute that several models share; governance consents to it then.

    Attributes
    ----------
    wall
        Wall time; what the run takes counts from then on.
    request
        Id of the request.
    reason, detail
        Why it is its turn: one word (``command``, ``revival``, ``due``, ``rate``), and a sentence with the numbers.
    expected_s
        CPU seconds that are set aside for it; 0 where nothing was ever measured.
    waited_s
        Seconds of wall time that it waited.
    """

    wall: datetime
    request: str
    reason: str
    detail: str
    expected_s: float
    waited_s: float
    rate: float | None = None

    def __post_init__(self) -> None:
        super(RetrainAdmitted, self).__post_init__()
        require_utc(self.wall, "wall")

    @property
    def key(self) -> str:
        """A freeze may hold it when it is its turn; then it gets another."""
        return self.wall.isoformat()
