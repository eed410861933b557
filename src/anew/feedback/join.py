"""Join predictions with the labels that came back: pure functions over frames.

Frames have the columns that `anew.ports.lake.Lake` lists. Labels may come late, twice, corrected, before their
prediction or for a prediction that nobody made; the order of the rows never matters.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Task
from anew.domain.errors import SchemaError

__all__ = [
    "Coverage",
    "LabelRules",
    "coverage",
    "first_deliveries",
    "join",
    "last_labels",
    "losses",
    "one_per_id",
    "timely_labels",
]

_LEAST_TRUSTED = {"user": -1, "implicit": -2}
"""Whoever got an answer may say anything of it, and what followed is a proxy: both give way, unless they are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """Which of several labels of a prediction counts.

    Attributes
    ----------
    trust
        Sources, most trusted first. What a more trusted source says outranks what others say, whenever it came. Sources
        that are not listed come after those that are, ``user`` and ``implicit`` last; among equals the latest counts.
    park
        How long a label that came before its prediction waits for it.
    """

    trust: tuple[str, ...] = ()
    park: timedelta = timedelta(days=30)

    def rank(self) -> pl.Expr:
        """Return the rank of ``_source``, greater for the more trusted."""
        ranks = _LEAST_TRUSTED | {name: len(self.trust) - i for i, name in enumerate(self.trust)}
        return pl.col("_source").replace_strict(ranks, default=0, return_dtype=pl.Int64)


_PLAIN = LabelRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many predictions have a label, and how long labels took from answer to arrival, in seconds.

    The delays are None when there is no label; a label that came before its prediction counts as 0 s.
    """

    n: int
    labelled: int
    delay_p50_s: float | None
    delay_p90_s: float | None

    @property
    def share(self) -> float | None:
        """Share of predictions with a label; None of no predictions."""
        return self.labelled / self.n if self.n else None


def one_per_id(predictions: pl.DataFrame) -> pl.DataFrame:
    """Order predictions by (_at, _id) and keep one row per id: the first that was received."""
    unique = predictions.sort("_id", "_received_at", maintain_order=True).unique(
        "_id", keep="first", maintain_order=True
    )
    return unique.sort("_at", "_id")


def first_deliveries(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep each delivery of labels or feedback once, as it was first received: sent again it says nothing new.

    An id is its source's own and about one prediction, so that nobody takes the place of what another says. What a
    source says twice at one instant under one id is the lesser of the two, in whatever order they are stored.
    """
    if rows.get_column("_id").is_unique().all():
        return rows
    revised = ["_revision"] if "_revision" in rows.columns else []
    ordered = rows.sort("_received_at", *revised, "_value", maintain_order=True)
    return ordered.unique(["_prediction", "_source", "_id"], keep="first", maintain_order=True)


def last_labels(labels: pl.DataFrame, rules: LabelRules = _PLAIN) -> pl.DataFrame:
    """Keep the label of each prediction that counts, ordered by prediction.

    A source's last word is that of its greatest (_revision, _received_at, _id); one that withdrew has said nothing. Of
    several sources the most trusted counts, and among equally trusted ones the latest. What is delivered again keeps
    the instant of its first delivery, and so undoes no correction that came between.
    """
    last = ["_received_at", "_id"]
    ordered = first_deliveries(labels).sort("_prediction", "_source", "_revision", *last, maintain_order=True)
    words = ordered.unique(["_prediction", "_source"], keep="last", maintain_order=True)
    ranked = words.filter(pl.col("_value").is_not_null()).with_columns(_rank=rules.rank())
    return (
        ranked.sort("_prediction", "_rank", *last, maintain_order=True)
        .unique("_prediction", keep="last", maintain_order=True)
        .drop("_rank")
    )


def timely_labels(labels: pl.DataFrame, predictions: pl.DataFrame, rules: LabelRules = _PLAIN) -> pl.DataFrame:
    """Keep the labels of these predictions, but for those that came so early that they waited for too long."""
    answered = predictions.group_by("_id").agg(_answered_at=pl.col("_received_at").min())
    met = labels.join(answered, left_on="_prediction", right_on="_id", how="inner", maintain_order="left")
    return met.filter(pl.col("_answered_at") - pl.col("_received_at") <= rules.park).drop("_answered_at")


def join(predictions: pl.DataFrame, labels: pl.DataFrame, rules: LabelRules = _PLAIN) -> pl.DataFrame:
    """Return the predictions, one per id by (_at, _id), each with its label; null where there is none.

    The label's columns are `_label`, `_labelled_at`, and `_source`, whose word it is.
    """
    timely = timely_labels(labels, predictions, rules)
    counts = last_labels(timely, rules)
    answers = counts.select("_prediction", "_source", _label="_value", _labelled_at="_received_at")
    return one_per_id(predictions).join(
        answers, left_on="_id", right_on="_prediction", how="left", maintain_order="left", validate="1:1"
    )


def losses(joined: pl.DataFrame, task: Task, *, scale: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the loss in [0, 1] of each row of `joined`, NaN where there is no label.

    0/1 error for classification; min(1, ``|output - label|`` / scale) for regression. An output that is missing or not
    finite has the loss 1: an answer that is none is wrong.

    Parameters
    ----------
    scale
        For regression: the error that counts as wholly wrong, e.g. a standard deviation of the target. Positive.

    Raises
    ------
    SchemaError
        `scale` is not a positive finite number.
    """
    known = joined["_label"].is_not_null().to_numpy()
    if task.classifies:
        hit = (joined["_output"] == joined["_label"]).fill_null(False).to_numpy()
        return np.where(known, 1.0 - hit, np.nan)
    if not (np.isfinite(scale) and scale > 0):
        raise SchemaError(f"the scale of the regression loss is {scale}; give a positive finite number")
    error = np.abs(_numbers(joined["_output"]) - _numbers(joined["_label"])) / scale
    loss = np.minimum(1.0, np.where(np.isfinite(error), error, 1.0))
    return np.where(known, loss, np.nan)


def coverage(joined: pl.DataFrame) -> Coverage:
    """Say how many rows of `joined` have a label and how late the labels were."""
    labelled = joined.filter(pl.col("_label").is_not_null())
    delay = (labelled["_labelled_at"] - labelled["_received_at"]).dt.total_microseconds().clip(lower_bound=0) / 1e6
    low, high = (np.quantile(delay.to_numpy(), [0.5, 0.9])) if len(delay) else (None, None)
    return Coverage(
        n=joined.height,
        labelled=labelled.height,
        delay_p50_s=None if low is None else float(low),
        delay_p90_s=None if high is None else float(high),
    )


def _numbers(column: pl.Series) -> npt.NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
