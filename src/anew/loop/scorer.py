"""Which of two forms of a model serves: the one it was trained in, or its export, when that is the same and faster."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.ports.candidate import Candidate
from anew.ports.model_format import Exporter, ModelFormat, Scores
from anew.ports.rows import input_matrix

__all__ = ["Choice", "choose_scorer", "serving_form"]

PARITY = 1e-6
"""Difference between two answers, absolute and relative, up to which they are the same to whoever is served."""

PAYS = 1.5
"""How many times as fast an export has to be; so much that measuring again does not turn the choice around."""

_TOGETHER = 32
_REPEATS = 15

Score = Callable[[npt.NDArray[np.float64]], Scores]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen, and why.

    Attributes
    ----------
    exported
        Does the export serve?
    timings
        Microseconds of processor time for one row, and for each of 32 asked together, of both.
    """

    exported: bool = False
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def scorer(self) -> str:
        """What the manifest says of it."""
        return "export" if self.exported else ""


def serving_form(
    exporter: Exporter, data: bytes, candidate: Candidate, kept_as: ModelFormat, inputs: pl.DataFrame
) -> Choice:
    """Choose between the candidate's model and `data`, its export, on `inputs`, shape `(n, d)`."""
    classify = candidate.manifest.columns.task.classifies
    graph = exporter.decode(data)
    return choose_scorer(
        lambda rows: kept_as.score(candidate.model, rows, classify=classify),
        lambda rows: exporter.score(graph, rows, classify=classify),
        input_matrix(inputs),
    )


def choose_scorer(
    trained: Score,
    exported: Score,
    rows: npt.NDArray[np.float64],
    *,
    clock: Callable[[], float] = time.process_time,
) -> Choice:
    """Compare both on `rows`, shape `(n, d)`, answer by answer, and measure them.

    The export serves only if every answer is the same within `PARITY`, the class included, one row by itself as well as
    all together, and if it is `PAYS` times as fast in both ways of asking.
    """
    a, b = trained(rows), exported(rows)
    alone = [exported(rows[i : i + 1]) for i in range(min(len(rows), _TOGETHER))]
    same = _same(a, b) and all(_same(_row(a, i), each) for i, each in enumerate(alone))
    timings: dict[str, float] = {}
    faster = True
    for name, count in (("one_row", 1), ("row_of_32", _TOGETHER)):
        part = np.resize(rows, (count, rows.shape[1]))
        ours, theirs = (_microseconds(score, part, clock) / count for score in (trained, exported))
        timings |= {f"trained_us_{name}": ours, f"exported_us_{name}": theirs}
        faster = faster and ours >= PAYS * theirs
    return Choice(exported=same and faster, timings=timings)


def _same(a: Scores, b: Scores) -> bool:
    if a.proba is None or b.proba is None:
        return a.proba is b.proba and _close(a.values, b.values)
    return _close(a.proba, b.proba) and bool(np.array_equal(a.values, b.values))


def _close(
    a: npt.NDArray[np.float64] | npt.NDArray[np.intp], b: npt.NDArray[np.float64] | npt.NDArray[np.intp]
) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=PARITY, atol=PARITY))


def _row(scores: Scores, i: int) -> Scores:
    proba = None if scores.proba is None else scores.proba[i : i + 1]
    return Scores(values=scores.values[i : i + 1], proba=proba)


def _microseconds(score: Score, rows: npt.NDArray[np.float64], clock: Callable[[], float]) -> float:
    """Return the median of some calls, after one that warms up."""
    score(rows)
    taken = []
    for _ in range(_REPEATS):
        began = clock()
        score(rows)
        taken.append(clock() - began)
    return 1e6 * median(taken)
