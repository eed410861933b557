"""Gate: the packaged candidate answers fast enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, at_most, unmeasured

__all__ = ["Latency"]

_ONE, _BATCH = "p99 of one row, ms", "median per row of a batch, ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Limit the time that a loaded candidate takes, measured on this machine on held-out rows.

    Parameters
    ----------
    p99_ms
        99th percentile of the milliseconds that one row takes through the path of requests, without the network.
    batch_ms
        Median milliseconds per row of a batch; None for any.
    at_least_answers
        Answers that have to be timed.

    Notes
    -----
    FAIL when the interval of the percentile (from order statistics) lies above the limit; above and not clearly is
    INCONCLUSIVE. What a busy machine measures is a busy machine: give the limit room, or use ``mode: advisory``. A
    replay leaves it out: nothing is packaged there and no clock is read.

    Examples
    --------
    >>> gate = Latency(p99_ms=20)
    >>> slow = Evidence.of("latency", 35.0, 300, subject="p99 of one row, ms", interval=(31.0, 50.0))
    >>> gate.judge((slow,)).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = False
    packaged: ClassVar[bool] = True

    p99_ms: float
    batch_ms: float | None = None
    at_least_answers: int = 200

    def __post_init__(self) -> None:
        if not self.p99_ms > 0 or not (self.batch_ms is None or self.batch_ms > 0) or self.at_least_answers < 1:
            raise InvariantError(f"{self} is no gate: limits are above 0, at least one answer")

    @property
    def key(self) -> str:
        """``latency``."""
        return "latency"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure percentile and median, with their intervals."""
        if rows.candidate is None or rows.candidate.package is None:
            return (unmeasured(self.key, _ONE, "nothing is packaged here"),)
        package = rows.candidate.package()
        found = [self._quantile(_ONE, package.one_ms, 0.99)]
        if self.batch_ms is not None:
            found.append(self._quantile(_BATCH, [each / max(package.batch_rows, 1) for each in package.batch_ms], 0.5))
        return tuple(found)

    def _quantile(self, subject: str, times: Sequence[float], share: float) -> Evidence:
        from scipy.stats import binom  # noqa: PLC0415 - slow, and few ask

        n = len(times)
        if not n:
            return unmeasured(self.key, subject, "no answer was timed")
        ordered = np.sort(times)
        low, high = (int(binom.ppf(tail, n, share)) for tail in (0.025, 0.975))
        interval = (float(ordered[min(low, n - 1)]), float(ordered[min(high, n - 1)]))
        return Evidence.of(self.key, float(np.quantile(ordered, share)), n, subject=subject, interval=interval)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when the limits are kept."""
        asked = (_ONE,) if self.batch_ms is None else (_ONE, _BATCH)
        judged = (
            at_most(each, self.p99_ms, self.at_least_answers)
            if each.subject == _ONE
            else at_most(each, self.batch_ms or 0.0, 1)
            for each in evidence
        )
        return all_of(judged, asked=asked, found=[each.subject for each in evidence])
