"""What happened after an answer: outcomes by name, the words of each source, and labels that follow from an event.

Pure functions over frames with the columns that `anew.ports.lake.Lake` lists; the order of the rows never matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from anew.domain.errors import InvariantError
from anew.feedback.join import first_deliveries

__all__ = ["THUMB", "Implicit", "implied_labels", "standing_words", "with_outcomes"]

THUMB = "thumb"
"""The event that a thumb is: of the value 1, up, or 0, down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Implicit:
    """A label that follows from an event: a proxy for what nobody says.

    Attributes
    ----------
    event, within
        The event, and how long after its prediction it counts, in event time; what happened before did not follow from
        it. Only then is it known of a prediction that nothing happened, and only then do both kinds get their label:
        earlier ones would all be of one kind.
    then, otherwise
        The label where it happened, None for the event's own value; and where it did not.
    skew
        How much earlier than its prediction an event may be dated all the same: their clocks may differ.
    """

    event: str
    within: timedelta
    then: float | int | str | None
    otherwise: float | int | str
    skew: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.within <= timedelta(0):
            raise InvariantError(f"implicit labels by {self.event}: within {self.within} is no length of time")


def with_outcomes(joined: pl.DataFrame, feedback: pl.DataFrame, events: Sequence[str]) -> pl.DataFrame:
    """Return `joined` with a column for each event: the value of the latest of its kind, by (_at, _received_at, _id).

    Of a prediction without one a declared event is 0, it has not happened; a thumb is null, nobody gave one.
    """
    latest = feedback.sort("_prediction", "_event", "_at", "_received_at", "_id").unique(
        ["_prediction", "_event"], keep="last", maintain_order=True
    )
    for event in (*events, THUMB):
        found = latest.filter(pl.col("_event") == event).select("_prediction", pl.col("_value").alias(event))
        joined = joined.join(found, left_on="_id", right_on="_prediction", how="left", maintain_order="left")
    return joined.with_columns(pl.col(each).fill_null(0.0) for each in events)


def standing_words(deliveries: pl.DataFrame) -> pl.DataFrame:
    """Return what each source says now of each prediction: ``_prediction, _source, _value``; withdrawn is nothing."""
    ordered = first_deliveries(deliveries).sort(
        "_prediction", "_source", "_revision", "_received_at", "_id", maintain_order=True
    )
    words = ordered.unique(["_prediction", "_source"], keep="last", maintain_order=True)
    return words.filter(pl.col("_value").is_not_null()).select("_prediction", "_source", "_value")


def implied_labels(predictions: pl.DataFrame, feedback: pl.DataFrame, rule: Implicit) -> pl.DataFrame:
    """Return ``_prediction, _at, _event_value`` of each prediction, by its order; a null value says it did not happen.

    Parameters
    ----------
    predictions
        ``_id`` and ``_at``, one row each, all older than `rule.within`.
    """
    events = feedback.filter(pl.col("_event") == rule.event).select(
        _prediction="_prediction", _happened="_at", _event_value="_value", _received_at="_received_at", _delivery="_id"
    )
    met = predictions.select("_id", "_at").join(events, left_on="_id", right_on="_prediction", how="left")
    counts = pl.col("_happened").is_between(pl.col("_at") - rule.skew, pl.col("_at") + rule.within)
    timely = met.with_columns(pl.when(counts).then(pl.col(each)).alias(each) for each in ("_happened", "_event_value"))
    latest = timely.sort("_id", "_happened", "_received_at", "_delivery", nulls_last=False).unique("_id", keep="last")
    followed = pl.when(pl.col("_happened").is_null()).then(pl.col("_at") + rule.within)
    found = latest.select(
        _prediction="_id", _at=followed.otherwise(pl.max_horizontal("_happened", "_at")), _event_value="_event_value"
    )
    return found.sort("_at", "_prediction")
