"""Does another version that answers real users do better than the champion?"""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import stdtr

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows

__all__ = ["ABOutcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ABOutcome:
    """Alert when users answered by another version fared better than the champion's: the champion has gone stale.

    Parameters
    ----------
    outcome
        What is compared: an event that the project declares, more of it being better; empty for the losses of the
        answers, less being better.
    worse_by
        How much worse the champion may be, in the outcome's own unit.
    alpha
        Chance, in a period, of finding a difference that is not there.
    period
        Answers that are compared, back from the window's end; None for one window.
    at_least
        Answers that each side needs.

    Notes
    -----
    Both sides answered different people at the same time, so this is an experiment: Welch's test of the champion being
    worse by more than `worse_by`, one-sided. It is read once for each period; with periods that overlap it is read more
    often than it says. A challenger's rollout is judged by the rollout itself; this looks at what its outcome means for
    the champion, and at traffic that another version answers for longer (a fallback, a hold).

    References
    ----------
    Welch (1947), "The generalization of Student's problem when several different population variances are involved",
    Biometrika 34.

    Examples
    --------
    >>> ABOutcome(outcome="bought", worse_by=0.01).key
    'ab_outcome(bought worse by 0.01)'
    """

    labels: ClassVar[bool] = True
    needs_feedback: ClassVar[bool] = True

    outcome: str = ""
    worse_by: float = 0.0
    alpha: float = 0.01
    period: timedelta | None = None
    at_least: int = 100

    def __post_init__(self) -> None:
        if not (self.worse_by >= 0 and 0 < self.alpha < 0.5 and self.at_least >= 2):
            raise InvariantError(
                f"ab_outcome: worse_by {self.worse_by} from 0 on, alpha {self.alpha} between 0 and 0.5, "
                f"at_least {self.at_least} from 2 on"
            )

    @property
    def key(self) -> str:
        """``ab_outcome(outcome worse by margin)``."""
        over = "" if self.period is None else f" over {self.period / timedelta(hours=1):g}h"
        return f"ab_outcome({self.outcome or 'loss'} worse by {self.worse_by:g}{over})"

    @property
    def over(self) -> timedelta | None:
        """The period of the answers."""
        return self.period

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: outcomes come later than answers."""
        return ()

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure by how much the champion's side is worse; the other side's mean stands as the reference."""
        table = rows.answers if self.outcome else rows.table
        if self.outcome not in ("", *table.columns) or "_version" not in table.columns:
            problem = f"nothing called {self.outcome!r} is reported" if self.outcome else "nothing was answered"
            return (Evidence.of(self.key, None, 0, problem=problem),)
        value = table.get_column(self.outcome).cast(pl.Float64).to_numpy() if self.outcome else -rows.loss
        ours = (table.get_column("_version") == rows.version).fill_null(value=False).to_numpy()
        known = np.isfinite(value)
        return (self._compared(value[known & ours], value[known & ~ours]),)

    def _compared(self, ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> Evidence:
        n = min(len(ours), len(theirs))
        if n < self.at_least:
            problem = (
                f"{len(ours)} answers of the champion and {len(theirs)} of others, {self.at_least} of each are needed"
            )
            return Evidence.of(self.key, None, n, problem=problem)
        gap = float(theirs.mean() - ours.mean())
        one, other = (float(each.var(ddof=1)) / len(each) for each in (ours, theirs))
        spread = one + other
        if spread == 0:
            p_value = 0.0 if gap > self.worse_by else 1.0
            return Evidence.of(self.key, gap, n, subject="worse by", reference=self.worse_by, p_value=p_value)
        freedom = spread**2 / (one**2 / (len(ours) - 1) + other**2 / (len(theirs) - 1))
        p_value = float(stdtr(freedom, -(gap - self.worse_by) / np.sqrt(spread)))
        half = 1.96 * float(np.sqrt(spread))
        bounds = (gap - half, gap + half)
        return Evidence.of(
            self.key, gap, n, subject="worse by", reference=self.worse_by, interval=bounds, p_value=p_value
        )

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find the champion worse where the test says so."""
        for each in evidence:
            if each.measured and each.value is not None and each.p_value is not None and each.p_value < self.alpha:
                return Finding(
                    severity=Severity.HIGH,
                    message=(
                        f"the champion's {self.outcome or 'loss'} is worse than that of the other answers by "
                        f"{each.value:.4g} (p {each.p_value:.2g}, {each.n} answers on the smaller side)"
                    ),
                    evidence=(each,),
                )
        return None
