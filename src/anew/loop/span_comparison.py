"""Two models on the rows that came since both were fitted: which of their spans serves better, window by window."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from anew.domain.column import Columns
from anew.domain.evidence import Evidence
from anew.domain.interval import Interval
from anew.loop.measure import Values, as_values, losses
from anew.stats.hedge import SpanFit, compare_spans

__all__ = ["compared_spans", "rows_beside"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ANY = SpanFit(name="", length=1.0)


def rows_beside(candidate: pl.DataFrame, trained_rows: int, length_s: float) -> Interval:
    """Return the event time of the rows for the model beside a candidate: so much, up to the rows held out."""
    at = candidate.get_column("_at")
    end: datetime = at[min(trained_rows, len(at) - 1)]
    return Interval(start=max(_EPOCH, end - timedelta(seconds=length_s)), end=end)


def compared_spans(
    rows: pl.DataFrame, columns: Columns, answers: tuple[Values, Values], *, scale: float, window_s: float
) -> tuple[Evidence, ...]:
    """Return one piece of evidence for each window: how much more the second model lost than the first.

    Parameters
    ----------
    rows
        ``_at`` and ``_label``, in time order.
    answers
        Of the first and of the second model to each row.
    scale
        Range that absolute errors are divided by; 1 for classification.
    """
    label = as_values(rows.get_column("_label"), columns.task)
    lost = [losses(columns.task, label, each, scale) for each in answers]
    length = round(window_s * 1e6)
    number = rows.get_column("_at").cast(pl.Int64).to_numpy() // length
    found = []
    for window in np.unique(number):
        of_window = number == window
        end = _EPOCH + timedelta(microseconds=int(window + 1) * length)
        compared = compare_spans(0.0, _ANY, _ANY, (lost[0][of_window], lost[1][of_window]))
        if compared is not None:
            low, high = (compared.difference + sign * compared.error for sign in (-1, 1))
            found.append(
                Evidence.of(
                    "span", compared.difference, int(of_window.sum()), subject=end.isoformat(), interval=(low, high),
                    confidence=0.68,
                )
            )  # fmt: skip
    return tuple(found)
