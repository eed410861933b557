"""Share of rows that are unlike anything the version was trained on."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows, Yardstick
from anew.stats.interval import wilson_interval
from anew.stats.matrix import is_numeric, number_matrix
from anew.stats.ood import Method, OutOfDistribution, fit_out_of_distribution

__all__ = ["OOD"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OOD:
    """Alert when too many rows of a window are out of distribution.

    Parameters
    ----------
    share_above
        Share of the window's rows, in (0, 1); more is an alert.
    method
        ``mahalanobis`` or ``isolation_forest``; see `anew.stats.ood`.
    columns
        The columns of numbers or vectors that are looked at together, such as an embedding; empty: all there are.
    false_share
        Share of ordinary rows that a row's own threshold takes for strange; well below `share_above`.
    at_least_rows
        Below it nothing is judged.

    Notes
    -----
    It looks at columns together, and so sees what no single one shows. HIGH when the whole interval of the share lies
    above the limit. Rows of a new kind are strange whether the model is wrong on them or not.
    """

    labels: ClassVar[bool] = False
    needs_sample: ClassVar[bool] = True

    share_above: float
    method: Method = "mahalanobis"
    columns: tuple[str, ...] = ()
    false_share: float = 0.01
    at_least_rows: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.false_share < self.share_above < 1 or self.at_least_rows < 1:
            raise InvariantError(
                f"ood: false_share {self.false_share} and share_above {self.share_above} are ascending shares between "
                f"0 and 1, at_least_rows {self.at_least_rows} is 1 or more"
            )

    @property
    def key(self) -> str:
        """``ood(method)>share``."""
        named = f"ood({self.method}: {', '.join(self.columns)})" if self.columns else f"ood({self.method})"
        return f"{named}>{self.share_above:g}"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the share of strange rows, with its interval."""
        if seen.n < self.at_least_rows:
            return (Evidence.of(self.key, None, seen.n, problem=f"{seen.n} rows, {self.at_least_rows} are needed"),)
        try:
            strange = int(self.strange(seen.rows, seen.yardstick).sum())
        except InvariantError as exc:
            return (Evidence.of(self.key, None, seen.n, problem=f"the version's sample does not do: {exc}"),)
        share = strange / seen.n
        interval = wilson_interval(strange, seen.n)
        return (Evidence.of(self.key, share, seen.n, reference=self.false_share, interval=interval),)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find a surge when the share exceeds the limit."""
        for each in evidence:
            if not each.measured or each.value is None or each.value <= self.share_above:
                continue
            low, high = each.low or 0.0, 1.0 if each.high is None else each.high
            return Finding(
                severity=Severity.HIGH if low > self.share_above else Severity.MEDIUM,
                message=(
                    f"{each.value:.1%} of {each.n} rows are out of distribution ({low:.1%} to {high:.1%}); "
                    f"allowed are {self.share_above:.1%}"
                ),
                evidence=(each,),
            )
        return None

    def strange(self, rows: pl.DataFrame, yardstick: Yardstick) -> npt.NDArray[np.bool_]:
        """Return which of `rows` are out of distribution.

        Raises
        ------
        InvariantError
            The version's sample does not do for it.
        """
        model, names = self._fitted(yardstick)
        return model.strange(number_matrix(rows, names))

    def _fitted(self, yardstick: Yardstick) -> tuple[OutOfDistribution, tuple[str, ...]]:
        """Return what tells strange rows, made once for each yardstick, and the columns that it reads."""
        kept: dict[str, tuple[OutOfDistribution, tuple[str, ...]]] = yardstick.kept
        if self.key not in kept:
            sample = yardstick.sample
            if "_held" in sample.columns:
                sample = sample.filter(~pl.col("_held"))
            names = self.columns or tuple(
                name for name in yardstick.features.names if name in sample and is_numeric(sample.schema[name])
            )
            kept[self.key] = (
                fit_out_of_distribution(number_matrix(sample, names), self.method, false_share=self.false_share),
                names,
            )
        return kept[self.key]
