"""Population stability index between the reference and a window, column by column."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.distance import coarsen, psi, psi_deciles
from anew.stats.significance import psi_significance

__all__ = ["PSI"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PSI:
    """Alert when the population stability index of a column exceeds a threshold.

    The index is that of credit-risk practice: ten groups by the reference's deciles (categories: their levels, rare
    ones pooled), plus groups for null and for what the reference never had.

    Parameters
    ----------
    above
        Threshold on the index; 0.25 is the customary sign of a major shift.
    column
        The column to watch, of vectors each part (`anew.stats.vector`); empty: any declared feature.
    at_least_rows
        Below it nothing is judged: at `n` rows the index of an unchanged column is about `9 / n` too high.

    Notes
    -----
    A plain threshold does what it says: it is no test, and on columns that follow the calendar it fires in every
    window. Its evidence therefore carries the p-value as well (``n m / (n + m) PSI`` is chi-squared with one degree of
    freedom less than groups when nothing changed). Do not use it to see concept drift: it never looks at labels.

    References
    ----------
    Yurdakul, B. (2018), Statistical properties of population stability index, Western Michigan University, section 3.
    """

    labels: ClassVar[bool] = False

    above: float = 0.25
    column: str = ""
    at_least_rows: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.above < float("inf"):
            raise InvariantError(f"psi above {self.above}: use a positive number, e.g. 0.25")

    @property
    def key(self) -> str:
        """``psi(column)>threshold``, or ``psi>threshold`` for any column."""
        return f"psi({self.column})>{self.above:g}" if self.column else f"psi>{self.above:g}"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure the index of each watched column, with its p-value."""
        found = []
        reference, current = seen.yardstick.features, seen.profile()
        for name in reference.parts(self.column) if self.column else tuple(reference.own.columns):
            base, window = reference.own.columns[name], current.columns[name]
            if window.n < self.at_least_rows:
                problem = f"{window.n} rows, {self.at_least_rows} are needed"
                found.append(Evidence.of(self.key, None, window.n, subject=name, problem=problem))
                continue
            first, second = coarsen(base, window)
            n, m = int(first.sum()), int(second.sum())
            p_value = psi_significance(max(psi(first, second), 0.0), n, m, len(first))
            found.append(Evidence.of(self.key, psi_deciles(first, second), m, subject=name, p_value=p_value))
        return tuple(found)

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift when a measured index exceeds the threshold; HIGH from twice the threshold on."""
        over = sorted(
            (each for each in evidence if each.measured and each.value is not None and each.value > self.above),
            key=lambda each: -(each.value or 0.0),
        )
        if not over:
            return None
        worst = over[0].value or 0.0
        named = ", ".join(f"{each.subject} {each.value:.3f}" for each in over[:5])
        more = f" and {len(over) - 5} more" if len(over) > 5 else ""
        return Finding(
            severity=Severity.HIGH if worst > 2 * self.above else Severity.MEDIUM,
            message=f"PSI above {self.above:g}: {named}{more}",
            evidence=tuple(over),
        )
