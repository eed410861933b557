"""What users think of the answers that they got."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.interval import wilson_interval

__all__ = ["Thumbs"]

_THUMB = "thumb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbs:
    """Alert when too many of those who gave a thumb gave it downwards.

    Parameters
    ----------
    down_above
        Share of thumbs that may point down.
    period
        Answers that are looked at, back from the window's end; None for one window.
    at_least
        Thumbs needed; below, nothing is judged.

    Notes
    -----
    The limit is compared with the share itself, as its author wrote it; the alert shows Wilson's interval, and is HIGH
    only when the whole interval lies above. Those who give a thumb are not those who do not: this is a signal, no
    measure of quality. Do not use it where anybody can give thumbs without number: a trigger on them is a lever.

    Examples
    --------
    >>> Thumbs(down_above=0.3).key
    'thumbs(down>0.3)'
    """

    labels: ClassVar[bool] = True
    needs_feedback: ClassVar[bool] = True

    down_above: float
    period: timedelta | None = None
    at_least: int = 30

    def __post_init__(self) -> None:
        if not 0 <= self.down_above < 1 or self.at_least < 1:
            raise InvariantError(f"thumbs: a share below 1 of at least one thumb, not {self.down_above}")

    @property
    def key(self) -> str:
        """``thumbs(down>share)``, with `` over 24h`` for a period."""
        over = "" if self.period is None else f" over {self.period / timedelta(hours=1):g}h"
        return f"thumbs(down>{self.down_above:g}{over})"

    @property
    def over(self) -> timedelta | None:
        """The period of the answers."""
        return self.period

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: thumbs come later than answers."""
        return ()

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:
        """Measure the share of thumbs that point down."""
        given = rows.answers.get_column(_THUMB).drop_nulls() if _THUMB in rows.answers.columns else pl.Series([])
        n = given.len()
        if n < self.at_least:
            problem = f"{n} thumbs, {self.at_least} are needed"
            return (Evidence.of(self.key, None, n, subject="thumbs down", problem=problem),)
        down = int((given < 0.5).sum())
        return (
            Evidence.of(
                self.key,
                down / n,
                n,
                subject="thumbs down",
                reference=self.down_above,
                interval=wilson_interval(down, n),
            ),
        )

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find that more than the limit point down."""
        for each in evidence:
            if each.measured and each.value is not None and each.value > self.down_above:
                sure = each.low is not None and each.low > self.down_above
                return Finding(
                    severity=Severity.HIGH if sure else Severity.MEDIUM,
                    message=f"{each.value:.0%} of {each.n} thumbs point down; wanted at most {self.down_above:.0%}",
                    evidence=(each,),
                )
        return None
