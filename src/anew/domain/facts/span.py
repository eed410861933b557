"""Facts of choosing a span: two lengths are fitted, and compared on what came since."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.interval import Interval

__all__ = ["SpanComparisonAsked", "SpanFitAsked", "SpanFitted", "SpansCompared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanFitAsked(Fact):
    """Beside a candidate another length of history is to be fitted: never served, only compared with it.

    Attributes
    ----------
    version, snapshot, trained_rows
        The candidate, and the rows that it was trained on: the other model's end where those end.
    length_s
        Seconds of event time that the other model is trained on, up to there.
    plan
        Id of the candidate's plan, which says what else is left out, capped and drawn.
    """

    asks: ClassVar[str] = "fit_span"

    version: str
    snapshot: str
    trained_rows: int
    length_s: float
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanFitted(Fact):
    """The model beside the candidate `version` lies in the artifact store under `digest`."""

    ends: ClassVar[bool] = True

    version: str
    digest: str
    rows: int
    compute_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanComparisonAsked(Fact):
    """A retrain was approved; which of the last two lengths was better is to be measured before the next are chosen.

    Attributes
    ----------
    version
        The candidate that the comparison is about.
    candidate, beside
        Digests of the two models.
    rows
        Event time of the rows to compare on: those that came since the candidate's snapshot.
    window_s
        Length of a window, one comparison each.
    corrected
        Of the approval: is history to be repaired?
    """

    asks: ClassVar[str] = "compare_spans"

    version: str
    candidate: str
    beside: str
    rows: Interval
    window_s: float
    corrected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpansCompared(Fact):
    """How much more the model beside `version` lost than the one on that version's own span.

    One entry of `evidence` for each window with labels: `value` is the relative difference of the mean losses, `high`
    lies one standard error above it, `subject` is the window's end. `compute_s` is what measuring it took, in CPU
    seconds: the run that is planned by it is charged with them.
    """

    ends: ClassVar[bool] = True
    schema: ClassVar[int] = 2

    version: str
    evidence: tuple[Evidence, ...]
    compute_s: float = 0.0
