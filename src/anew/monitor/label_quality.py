"""Do those who know better contradict the labels?"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

import numpy as np
import polars as pl

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.interval import wilson_interval

__all__ = ["LabelQuality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelQuality:
    """Raise an incident when labels are contradicted too often: by other sources, users' corrections, or thumbs.

    Parameters
    ----------
    disagree_above
        Share of predictions that several sources labelled on which they may disagree, corrections of users among them.
    thumbs_above
        Share of labelled predictions with a thumb that may contradict the label: a thumb up for an answer that the
        label calls wrong, or down for one that it calls right. For classification alone.
    tolerance
        For regression: how far apart two labels may lie and still agree, in units of the target.
    period
        Answers that are looked at, back from the window's end; None for one window.
    at_least
        Predictions that can be compared, below which nothing is judged.

    Notes
    -----
    What it finds is broken data, not a changed world: an alert about that window retrains nothing, and its rows are
    kept from training. A limit counts as broken only when the whole interval (Wilson, 95 %) lies above it.

    Proxies, labels of the source ``implicit``, contradict nobody: that they differ is their nature. How far is measured
    where others have spoken too, and with one voice: the share in which they differ, and by how much they say more, on
    average, than others do: of the positive class, or in units of the target. It is judged by nobody, and it is true of
    all answers only where those that others spoke about were drawn at random, as an audit draws them.

    Examples
    --------
    >>> LabelQuality().key
    'label_quality'
    """

    labels: ClassVar[bool] = True
    incident: ClassVar[bool] = True
    needs_feedback: ClassVar[bool] = True

    disagree_above: float = 0.2
    thumbs_above: float = 0.4
    tolerance: float = 0.0
    period: timedelta | None = None
    at_least: int = 30

    def __post_init__(self) -> None:
        if not (0 <= self.disagree_above < 1 and 0 <= self.thumbs_above < 1 and self.tolerance >= 0 < self.at_least):
            raise InvariantError(
                f"label_quality: shares in [0, 1), not {self.disagree_above} and {self.thumbs_above}; a tolerance from "
                f"0 on, not {self.tolerance}; at_least from 1 on, not {self.at_least}"
            )

    @property
    def key(self) -> str:
        """``label_quality``: a project has one contract on its labels."""
        return "label_quality"

    @property
    def over(self) -> timedelta | None:
        """The period of the answers."""
        return self.period

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this is about labels."""
        return ()

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure how often sources disagree, and how often thumbs contradict the label."""
        thumbs = [self._thumbs(rows)] if rows.task.classifies else []
        return (self._between_sources(rows), *thumbs, *self._proxies(rows))

    def _between_sources(self, rows: ScoredRows) -> Evidence:
        subject = "sources disagree"
        if not rows.words.height:
            return self._share(subject, 0, 0, self.disagree_above)
        words = rows.words.filter(pl.col("_source") != "implicit").group_by("_prediction")
        if rows.task is Task.REGRESSION:
            values = pl.col("_value").cast(pl.Float64)
            apart = values.max() - values.min() > self.tolerance
        else:
            apart = pl.col("_value").n_unique() > 1
        compared = words.agg(several=pl.len() > 1, apart=apart).filter("several")
        return self._share(subject, int(compared.get_column("apart").sum()), compared.height, self.disagree_above)

    def _proxies(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure how far proxies are from labels; nothing where there are none."""
        if not rows.words.height:
            return ()
        proxy = pl.col("_source") == "implicit"
        proxies = rows.words.filter(proxy).select("_prediction", proxy="_value")
        if not proxies.height:
            return ()
        others = rows.words.filter(~proxy).group_by("_prediction").agg(pl.col("_value").unique())
        told = others.filter(pl.col("_value").list.len() == 1).select("_prediction", said=pl.col("_value").list.first())
        both = proxies.join(told, on="_prediction")
        if rows.task is Task.REGRESSION:
            more = (both["proxy"].cast(pl.Float64) - both["said"].cast(pl.Float64)).to_numpy()
            differ = np.abs(more) > self.tolerance
        else:
            more = ((both["proxy"] == rows.positive).cast(pl.Int8) - (both["said"] == rows.positive)).to_numpy()
            differ = (both["proxy"] != both["said"]).to_numpy()
        subject = "proxies differ from labels"
        found = replace(self._share(subject, int(differ.sum()), both.height, 1.0), reference=None)
        if not found.measured or rows.task is Task.MULTICLASS:
            return (found,)
        mean, half = float(more.mean()), 1.96 * float(more.std(ddof=1)) / both.height**0.5
        by = Evidence.of(
            self.key, mean, both.height, subject="proxies say more by", interval=(mean - half, mean + half)
        )
        return (found, by)

    def _thumbs(self, rows: ScoredRows) -> Evidence:
        subject = "thumbs contradict labels"
        if "thumb" not in rows.table.columns:
            return self._share(subject, 0, 0, self.thumbs_above)
        given = rows.table.filter(pl.col("thumb").is_not_null())
        right = given.get_column("_output").cast(pl.String) == given.get_column("_label").cast(pl.String)
        against = int((right != (given.get_column("thumb") >= 0.5)).sum())
        return self._share(subject, against, given.height, self.thumbs_above)

    def _share(self, subject: str, count: int, n: int, limit: float) -> Evidence:
        if n < self.at_least:
            problem = f"{n} predictions can be compared, {self.at_least} are needed"
            return Evidence.of(self.key, None, n, subject=subject, problem=problem)
        return Evidence.of(self.key, count / n, n, subject=subject, reference=limit, interval=wilson_interval(count, n))

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find that labels are not to be trusted where the whole interval lies above the limit; always HIGH."""
        broken = [
            each
            for each in evidence
            if each.measured and each.low is not None and each.reference is not None and each.low > each.reference
        ]
        if not broken:
            return None
        named = ", ".join(f"{each.subject} in {each.value:.0%} of {each.n}" for each in broken)
        return Finding(severity=Severity.HIGH, message=f"labels are not to be trusted: {named}", evidence=tuple(broken))
