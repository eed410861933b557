"""Facts of review: what people are asked about, what they agreed on, whom to believe; none names a value."""

from dataclasses import dataclass
from datetime import datetime

from anew.domain.fact import Fact

__all__ = ["LabellerWeighed", "ReviewQueued", "ReviewReopened", "ReviewSettled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewQueued(Fact):
    """Answers that people are to look at, of a window that began at the event time `since`.

    `items` has for each its prediction, the reason (``random``, ``confidence``, ``ood``, ``disagreement`` or ``gold``),
    and the probability with which it was chosen, in (0, 1], by which estimates have to be weighted.
    """

    since: datetime
    items: tuple[tuple[str, str, float], ...]

    @property
    def key(self) -> str:
        """One per window."""
        return self.since.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSettled(Fact):
    """People have said what is true of a prediction, and it is in the lake as a label of the source ``review``.

    `by` are those whose votes counted; `agreed` says whether all said the same.
    """

    prediction: str
    revision: int
    by: tuple[str, ...]
    agreed: bool

    @property
    def key(self) -> str:
        """One per prediction and revision."""
        return f"{self.prediction}/{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewReopened(Fact):
    """The label of a prediction is withdrawn, and people are asked again.

    Who gave it is not believed, took it back, or was one person and not two.

    `by` is who is not believed.
    """

    prediction: str
    revision: int
    by: tuple[str, ...]

    @property
    def key(self) -> str:
        """One per prediction and revision."""
        return f"{self.prediction}/{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabellerWeighed(Fact):
    """What a labeller's answers to questions with known answers say: `right` of `asked`; not `trusted`, none counts."""

    labeller: str
    right: int
    asked: int
    trusted: bool

    @property
    def key(self) -> str:
        """One per labeller and number of questions."""
        return f"{self.labeller}/{self.asked}/{self.right}"
