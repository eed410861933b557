"""Gate: what is answered online is what was trained and proved offline."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence, failure
from anew.domain.verdict import Verdict
from anew.stats.comparison import measure
from anew.stats.profile import Reference
from anew.validate._gate import Examinee, HeldOut, Judgement
from anew.validate._limit import all_of, at_most, unmeasured

__all__ = ["Skew"]

_ANSWERS, _INPUTS, _COLUMN = "answers that differ online", "model inputs that differ online", "distribution of "


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """Send the same rows through the offline and the online path and compare them value by value.

    Offline all rows are answered at once, online each alone, as a request. A `features` that looks at other rows (a
    mean over the frame, a rank, a shift) gives other model inputs online, and is found here.

    Parameters
    ----------
    rows
        Held-out rows to send, evenly taken.
    tolerance
        Relative difference of two numbers that counts as none: models that multiply whole matrices differ in the last
        digits.
    psi_at_most
        Population stability index between the training rows and those of `serving` that a column may have; None:
        columns are not compared. Clearly above is FAIL.
    serving
        Suite whose rows stand for serving, such as one of recorded traffic; empty: the held-out rows.

    Notes
    -----
    One value that differs is a FAIL. The index of columns finds a feed that is not what was trained on, and also plain
    drift: where the world moves, that is what the retrain is for, so leave it out or give it room. Its interval holds
    column by column.

    References
    ----------
    Baylor et al. (2017), "TFX: a TensorFlow-based production-scale machine learning platform", KDD, section 3.3.

    Examples
    --------
    >>> from anew.domain.column import Column, ColumnKind, Columns, Task
    >>> from anew.domain.manifest import Manifest
    >>> from anew.validate._gate import Answers
    >>> columns = Columns(time="at", target="y", features=(Column(name="x", kind=ColumnKind.NUMBER),),
    ...                   task=Task.REGRESSION)
    >>> manifest = Manifest(format="", model_file="", columns=columns, inputs=("x",), classes=(), rows=1,
    ...                     holdout_rows=0, seed=0, code="", environment="")
    >>> def centred(rows): return rows.select(pl.col("x") - pl.col("x").mean())
    >>> def batch(rows): return Answers(centred(rows)["x"].to_numpy(), None)
    >>> def alone(rows): return Answers(np.concatenate([batch(each).output for each in rows.iter_slices(1)]), None)
    >>> x = np.linspace(1, 2, 100)
    >>> rows = HeldOut(task=Task.REGRESSION, label=x, challenger=x, challenger_loss=0 * x,
    ...     table=pl.DataFrame({"x": x}),
    ...     candidate=Examinee(manifest=manifest, answer=batch, online=alone, inputs=centred))
    >>> Skew().judge(Skew().measure(rows)).reason.split(";")[0]
    'answers that differ online 1 on 100 rows, at most 0'
    """

    needs_champion: ClassVar[bool] = False
    partial: ClassVar[bool] = True

    rows: int = 200
    tolerance: float = 1e-9
    psi_at_most: float | None = None
    serving: str = ""

    def __post_init__(self) -> None:
        if self.rows < 1 or not 0 <= self.tolerance < 1:
            raise InvariantError(f"{self} is no gate: at least one row, a tolerance in [0, 1)")
        if self.psi_at_most is not None and not self.psi_at_most > 0:
            raise InvariantError(f"skew: psi_at_most is {self.psi_at_most}; it has to be above 0")

    @property
    def key(self) -> str:
        """``skew``."""
        return "skew"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure the shares of answers and of model inputs that differ, and how far columns are from training."""
        if rows.candidate is None or not rows.n:
            return (unmeasured(self.key, _ANSWERS, "there is nobody to ask, or no row to ask about"),)
        table = rows.table[np.arange(0, rows.n, -(-rows.n // self.rows))]
        found = [self._compared(_ANSWERS, table, rows.candidate, self._answers)]
        found.append(self._compared(_INPUTS, table, rows.candidate, self._inputs))
        return (*found, *self._columns(rows, rows.candidate))

    def _compared(self, subject: str, table: pl.DataFrame, candidate: Examinee, compare: Any) -> Evidence:
        try:
            different = compare(table, candidate)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - the user's code may raise anything
            return unmeasured(self.key, subject, failure(exc), table.height)
        return Evidence.of(self.key, float(different.mean()), table.height, subject=subject)

    def _answers(self, table: pl.DataFrame, candidate: Examinee) -> npt.NDArray[np.bool_]:
        offline, online = candidate.answer(table), candidate.online(table)
        different = self._differ(offline.output, online.output)
        if offline.chance is None or online.chance is None:
            return different | ((offline.chance is None) != (online.chance is None))
        return np.asarray(different | self._differ(offline.chance, online.chance).any(axis=1))

    def _inputs(self, table: pl.DataFrame, candidate: Examinee) -> npt.NDArray[np.bool_]:
        offline = candidate.inputs(table)
        online = pl.concat(candidate.inputs(row) for row in table.iter_slices(1))
        if online.columns != offline.columns:
            return np.ones(table.height, dtype=np.bool_)
        each = [self._differ(offline[name].to_numpy(), online[name].to_numpy()) for name in offline.columns]
        return np.asarray(np.any(each, axis=0))

    def _differ(self, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        if one.dtype.kind not in "fiu" or other.dtype.kind not in "fiu":
            return np.array([a != b for a, b in zip(one.tolist(), other.tolist(), strict=True)])
        return ~np.isclose(one.astype(np.float64), other.astype(np.float64), self.tolerance, 1e-12, equal_nan=True)

    def _columns(self, rows: HeldOut, candidate: Examinee) -> tuple[Evidence, ...]:
        if self.psi_at_most is None:
            return ()
        try:
            serving = rows.suite(self.serving).table if self.serving else rows.table
        except InvariantError as exc:
            return (unmeasured(self.key, f"{_COLUMN}{self.serving}", str(exc)),)
        names = candidate.manifest.columns.names
        if not rows.training.height or not serving.height:
            return (unmeasured(self.key, f"{_COLUMN}columns", "no rows to compare"),)
        reference = Reference.fit({name: rows.training.get_column(name).to_arrow() for name in names})
        current = reference.profile({name: serving.get_column(name).to_arrow() for name in names})
        found = []
        for name in names:
            far = measure(reference.own.columns[name], current.columns[name])
            if far is not None:
                subject, interval = f"{_COLUMN}{name}", (far.psi_interval.low, far.psi_interval.high)
                found.append(Evidence.of(self.key, far.psi, serving.height, subject=subject, interval=interval))
        return tuple(found)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when no value differs and no column is clearly further than allowed."""
        asked = (_ANSWERS, _INPUTS)
        return all_of(map(self._judged, evidence), asked=asked, found=[each.subject for each in evidence])

    def _judged(self, each: Evidence) -> Judgement:
        if not each.subject.startswith(_COLUMN):
            return at_most(each, 0.0, 1)
        judged = at_most(each, self.psi_at_most or 0.0, 1)
        unclear = judged.verdict is Verdict.INCONCLUSIVE and each.measured
        return Judgement(verdict=Verdict.PASS, reason=judged.reason) if unclear else judged
