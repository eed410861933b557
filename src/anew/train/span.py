"""Span: which interval of event time training rows are taken from."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from anew.domain.errors import InvariantError
from anew.domain.facts import SnapshotTaken, SpanFitAsked, TrainingPlanned
from anew.domain.interval import Interval

__all__ = ["BEGINNING", "Span", "asked_beside"]

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before any row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The newest `length` of labelled rows, or all of them when `length` is None."""

    length: timedelta | None = None

    def __post_init__(self) -> None:
        if self.length is not None and self.length <= timedelta(0):
            raise InvariantError(f"a training span of {self.length} holds no rows")

    def before(self, end: datetime) -> Interval:
        """Return the interval that ends with `end`."""
        start = BEGINNING if self.length is None else max(BEGINNING, end - self.length)
        return Interval(start=start, end=max(end, start))


def asked_beside(plan: TrainingPlanned, taken: SnapshotTaken) -> SpanFitAsked:
    """Return the wish for the model of a plan's second length, beside the one that is trained on this snapshot."""
    return SpanFitAsked(
        model=taken.model,
        at=taken.at,
        version=taken.version,
        snapshot=taken.digest,
        trained_rows=taken.rows - taken.holdout_rows,
        # A length counts its hold-out; that of the candidate is held out for both.
        length_s=plan.beside_s * (1 - taken.holdout_rows / taken.rows),
        plan=plan.id,
    )
