"""Is what a model said an answer at all?"""

from collections.abc import Sequence

from anew.domain.column import Columns, out_of_reach
from anew.domain.observation import Answer

__all__ = ["nonsense"]

_TOLERANCE = 1e-3


def nonsense(answers: Sequence[Answer], rows: int, columns: Columns) -> str:
    """Return what is wrong with the answers to `rows` rows in one sentence, empty when nothing is.

    >>> from anew.domain.column import Column, ColumnKind, Task
    >>> features = (Column(name="x", kind=ColumnKind.NUMBER),)
    >>> columns = Columns(time="t", target="y", features=features, task=Task.REGRESSION)
    >>> nonsense([Answer(output=float("nan"))], 1, columns)
    'answer 0: nan is no number from -1e+100 to 1e+100'
    """
    if len(answers) != rows:
        return f"{len(answers)} answers to {rows} rows"
    if not columns.task.classifies:
        for i, answer in enumerate(answers):
            output = answer.output
            if isinstance(output, str | bool):
                return f"answer {i}: {output!r:.20} is no number"
            if problem := out_of_reach(output):
                return f"answer {i}: {problem}"
        return ""
    known, classes = frozenset(columns.classes), len(columns.classes)
    for i, answer in enumerate(answers):
        output, proba = answer.output, answer.proba
        if output not in known or isinstance(output, bool):
            return f"answer {i} is none of the declared classes"
        # a NaN may hide from min and max, but not from the sum
        if proba is not None and not (
            len(proba) == classes
            and min(proba) >= -_TOLERANCE
            and max(proba) <= 1 + _TOLERANCE
            and abs(sum(proba) - 1) <= _TOLERANCE * classes
        ):
            return f"the probabilities of answer {i} {_proba_problem(proba, classes)}"
    return ""


def _proba_problem(proba: tuple[float, ...], classes: int) -> str:
    if len(proba) != classes:
        return f"are {len(proba)} for {classes} classes"
    if min(proba) < -_TOLERANCE or max(proba) > 1 + _TOLERANCE:
        return "are not all in [0, 1]"
    return f"add up to {sum(proba):.3f}"
