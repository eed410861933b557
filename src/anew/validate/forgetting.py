"""Gate: what the champion knows of old regimes is not forgotten."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.stats.interval import wilson_interval
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, at_most, unmeasured
from anew.validate._paired import judge_excess, loss_excess

__all__ = ["Forgetting"]

_FLIPS = "negative flips on "


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """Limit the loss over the champion's on rows of old regimes, and the answers that were right and are wrong now.

    Parameters
    ----------
    suites
        Suites of old rows: a file of anchors, or rows from before the span (``past``).
    at_most
        Excess of the bounded loss that is tolerated on each.
    flips
        Share of negative flips that is tolerated on each, for classes: rows that the champion answered right and the
        candidate wrong. None for any.
    at_least_rows, confidence
        Rows of a suite needed; level of the intervals.

    Notes
    -----
    FAIL when clearly above a limit. Do not use it where the old world does not come back: there a model that forgets is
    a better one. With a span of all data nothing is older than what was trained on: use a file.

    References
    ----------
    Yan et al. (2021), "Positive-congruent training: towards regression-free model updates", CVPR: negative flips.

    Examples
    --------
    >>> import numpy as np
    >>> from dataclasses import replace
    >>> from anew.domain.column import Task
    >>> label = np.array(["0", "1"] * 200)
    >>> lost = (np.arange(400) % 4 == 0).astype(float)
    >>> old = HeldOut(task=Task.BINARY, label=label, challenger=label, challenger_loss=lost,
    ...               champion=label, champion_loss=0 * lost)
    >>> gate = Forgetting(suites=("past",))
    >>> gate.judge(gate.measure(replace(old, suites={"past": lambda: old}))).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = True

    suites: tuple[str, ...]
    at_most: float = 0.02
    flips: float | None = None
    at_least_rows: int = 100
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not self.suites:
            raise InvariantError("forgetting on no suite; name one or more in `suites`")
        if not (0 <= self.at_most < 1 and 0 < self.confidence < 1 and self.at_least_rows > 1):
            raise InvariantError(f"{self} is no gate: at_most in [0, 1), confidence in (0, 1), at least 2 rows")
        if self.flips is not None and not 0 <= self.flips < 1:
            raise InvariantError(f"forgetting: flips is {self.flips}; a share lies in [0, 1)")

    @property
    def key(self) -> str:
        """``forgetting``."""
        return "forgetting"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure excess and flips on each suite."""
        return tuple(each for name in self.suites for each in self._measure(rows, name))

    def _measure(self, rows: HeldOut, name: str) -> tuple[Evidence, ...]:
        try:
            old = rows.suite(name)
            if old.champion_loss is None:
                raise InvariantError("there is no champion to compare with")
            if old.n < self.at_least_rows:
                return (unmeasured(self.key, name, f"{old.n} rows, {self.at_least_rows} are needed", old.n),)
            value, bounds = loss_excess(old.challenger_loss, old.champion_loss, self.confidence)
        except InvariantError as exc:
            return (unmeasured(self.key, name, str(exc), self.at_least_rows),)
        theirs = float(old.champion_loss.mean())
        found = Evidence.of(
            self.key, value, old.n, subject=name, interval=bounds, reference=theirs, confidence=self.confidence
        )
        if self.flips is None or not old.task.classifies:
            return (found,)
        flipped = int(((old.champion_loss == 0) & (old.challenger_loss > 0)).sum())
        share = wilson_interval(flipped, old.n, self.confidence)
        return found, Evidence.of(self.key, flipped / old.n, old.n, subject=f"{_FLIPS}{name}", interval=share)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when no suite was clearly forgotten and no more answers than allowed turned wrong."""
        flips = () if self.flips is None else tuple(f"{_FLIPS}{name}" for name in self.suites)
        found = [each.subject for each in evidence]
        return all_of(map(self._judged, evidence), asked=(*self.suites, *flips), found=found)

    def _judged(self, each: Evidence) -> Judgement:
        if each.subject.startswith(_FLIPS) and self.flips is not None:
            return at_most(each, self.flips, self.at_least_rows)
        return judge_excess(each, margin=self.at_most, at_least_rows=self.at_least_rows, at_most_width=2.0)
