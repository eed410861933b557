"""Maximum mean discrepancy between a sample of the training rows and one of a window."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.monitor._sample import points_of
from anew.stats.mmd import mmd

__all__ = ["MMD"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MMD:
    """Alert when whole rows of a window are distributed otherwise than the training rows.

    Parameters
    ----------
    p_below
        p-value of the permutation test below which it alerts; 0.001 is the least that the test can give.
    columns
        The columns that are looked at together, such as an embedding; empty: all features.
    rows
        Rows of either side that are compared, evenly spaced; time and memory grow with their square.
    at_least_rows
        Below it nothing is judged.

    Notes
    -----
    It sees what no single column shows, such as two columns that no longer move together. A window without drift
    alerts with the probability `p_below`, as long as rows do not resemble those before them; it is not counted against
    the budget of false alarms, which asks for smaller p-values than it has. What changed it does not say: `drift` and
    `psi` do, column by column.
    """

    labels: ClassVar[bool] = False
    needs_sample: ClassVar[bool] = True

    p_below: float = 0.01
    columns: tuple[str, ...] = ()
    rows: int = 500
    at_least_rows: int = 100

    def __post_init__(self) -> None:
        if not 0.001 < self.p_below < 1 or not 20 <= self.rows <= 2000 or self.at_least_rows < 20:
            raise InvariantError(
                f"mmd: p_below {self.p_below} lies between 0.001 and 1, rows {self.rows} from 20 to 2000, "
                f"at_least_rows {self.at_least_rows} is 20 or more"
            )

    @property
    def key(self) -> str:
        """``mmd:p<limit``, or ``mmd(columns):p<limit``."""
        return f"mmd({', '.join(self.columns)}):p<{self.p_below:g}" if self.columns else f"mmd:p<{self.p_below:g}"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the discrepancy, with its p-value."""
        if seen.n < self.at_least_rows:
            return (Evidence.of(self.key, None, seen.n, problem=f"{seen.n} rows, {self.at_least_rows} are needed"),)
        try:
            points = points_of(seen, self.columns, self.rows)
            found = mmd(points.reference, points.window)
        except InvariantError as exc:
            return (Evidence.of(self.key, None, seen.n, problem=f"the version's sample does not do: {exc}"),)
        return (Evidence.of(self.key, found.value, len(points.window), p_value=found.p_value),)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift where the p-value is below the limit."""
        for each in evidence:
            if each.measured and each.p_value is not None and each.p_value < self.p_below:
                what = f"{', '.join(self.columns)}: " if self.columns else ""
                return Finding(
                    severity=Severity.MEDIUM,
                    message=f"{what}rows are distributed otherwise: MMD² {each.value:.3g}, p {each.p_value:.2g}, "
                    f"{each.n} rows compared",
                    evidence=(each,),
                )
        return None
