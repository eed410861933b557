"""What both lakes do with the rows that they have found."""

from collections.abc import Mapping

import polars as pl

from anew.adapters._lake_frame import with_sensitive
from anew.domain.column import Columns
from anew.domain.errors import NotFoundError
from anew.domain.interval import Interval
from anew.domain.observation import id_prefix
from anew.feedback.join import LabelRules, first_deliveries, join, last_labels, timely_labels

__all__ = ["about", "at_version", "feedback_of", "labelled_rows", "labels_of", "within"]


def at_version(table: str, present: int, versions: Mapping[str, int] | None) -> int:
    """Return the version to read `table` at: the one asked for, or the present one.

    Raises
    ------
    NotFoundError
        The table has not had that version yet.
    """
    asked = present if versions is None else versions.get(table, present)
    if not 0 <= asked <= present:
        raise NotFoundError(f"version {asked} of {table} was asked for; it has the versions 0 to {present}")
    return asked


def within(span: Interval) -> pl.Expr:
    """Select rows whose event time lies in `span`."""
    return pl.col("_at").is_between(span.start, span.end, closed="left")


def labels_of(predictions: pl.DataFrame, labels: pl.DataFrame, rules: LabelRules) -> pl.DataFrame:
    """Return the label of each of the predictions that counts; labels of unknown predictions never join."""
    return last_labels(timely_labels(labels, predictions, rules), rules)


def feedback_of(ids: pl.Series, feedback: pl.DataFrame) -> pl.DataFrame:
    """Return the feedback on the predictions `ids`, each delivery once, ordered by (_prediction, _at, _id)."""
    met = feedback.filter(pl.col("_prediction").is_in(ids.implode()))
    return first_deliveries(met).sort("_prediction", "_at", "_id", "_source")


def about(span: Interval, ids: pl.Series) -> tuple[str, str, pl.Expr]:
    """Return the range of prediction ids, and what selects within it labels about `ids` or others of that time."""
    first, last = id_prefix(span.start), id_prefix(span.end)
    where = pl.col("_prediction").is_in(ids.implode()) | (
        pl.col("_prediction").is_between(pl.lit(first), pl.lit(last), closed="left")
    )
    bounds = [first, last, *(str(each) for each in (ids.min(), ids.max()) if each is not None)]
    return min(bounds), max(bounds), where


def labelled_rows(
    columns: Columns, history: pl.DataFrame, predictions: pl.DataFrame, labels: pl.DataFrame
) -> pl.DataFrame:
    """Return features, _at, _label, _source, _id, _key and the sensitive columns in time order.

    At one instant history, which has no ids, comes first, in the order of its import.
    """
    names = [*columns.names, "_at", "_label", "_source", "_id", "_key", *(["_extra"] if columns.sensitive else [])]
    joined = join(predictions, labels).filter(pl.col("_label").is_not_null())
    known = history.with_columns(_id=pl.lit(""))
    rows = pl.concat([known.select(names), joined.select(names)]).sort("_at", maintain_order=True)
    return with_sensitive(columns, rows)
