"""Gate: however many small steps led here, the candidate is not far worse than a pinned version on sealed rows."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, at_most, unmeasured
from anew.validate._paired import loss_excess

__all__ = ["Anchor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Limit the loss over that of a pinned version on a sealed suite, against poison in doses too small to see.

    Parameters
    ----------
    suite
        A suite that nobody can poison: a sealed file.
    budget
        Excess of the bounded loss over the pinned version's that all retrains together may add up to.
    version
        The pinned version; empty: the first champion.
    at_least_rows, confidence
        Rows of the suite needed; level of the interval.

    Notes
    -----
    A champion that is compared with the one before it alone can be led anywhere in steps that each look harmless; the
    pinned version does not move. FAIL when clearly above the budget, INCONCLUSIVE when above and not clearly, so the
    champion's own excess never gets beyond the budget by more than the interval's half width. Seal a new suite and pin
    a new version when the world has honestly changed. Of no use without a suite from a source of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from dataclasses import replace
    >>> from anew.domain.column import Task
    >>> label = np.array(["0", "1"] * 500)
    >>> lost = (np.arange(1000) % 10 == 0).astype(float)
    >>> sealed = HeldOut(task=Task.BINARY, label=label, challenger=label, challenger_loss=lost, anchor_loss=0 * lost)
    >>> gate = Anchor(suite="golden", budget=0.03)
    >>> gate.judge(gate.measure(replace(sealed, suites={"golden": lambda: sealed}))).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = True

    suite: str
    budget: float = 0.02
    version: str = ""
    at_least_rows: int = 200
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (0 <= self.budget < 1 and 0 < self.confidence < 1 and self.at_least_rows > 1):
            raise InvariantError(f"{self} is no gate: budget in [0, 1), confidence in (0, 1), at least 2 rows")

    @property
    def key(self) -> str:
        """``anchor``."""
        return "anchor"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the excess over the pinned version, whose own loss is the reference."""
        try:
            sealed = rows.suite(self.suite)
            if sealed.anchor_loss is None:
                raise InvariantError(f"the pinned version {self.version or '(the first champion)'} cannot be asked")
            if sealed.n < self.at_least_rows:
                problem = f"{sealed.n} rows, {self.at_least_rows} are needed"
                return (unmeasured(self.key, self.suite, problem, sealed.n),)
            value, bounds = loss_excess(sealed.challenger_loss, sealed.anchor_loss, self.confidence)
        except InvariantError as exc:
            return (unmeasured(self.key, self.suite, str(exc), self.at_least_rows),)
        theirs = float(sealed.anchor_loss.mean())
        return (
            Evidence.of(
                self.key,
                value,
                sealed.n,
                subject=self.suite,
                interval=bounds,
                reference=theirs,
                confidence=self.confidence,
            ),
        )

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS while the budget is kept."""
        if any(each.measured and each.low is None for each in evidence):
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason="no interval was measured")
        return all_of(at_most(each, self.budget, self.at_least_rows) for each in evidence)
