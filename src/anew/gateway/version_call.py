"""One version of this process asked for answers: usable ones, or why there are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anew.domain.column import Value
from anew.domain.observation import Answer
from anew.gateway.routing import Answerer
from anew.gateway.row import RequestRow
from anew.gateway.sanity import nonsense

__all__ = ["Said", "call_version", "cells_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a version in this process said: answers, or the reason and the detail why there are none, and its error."""

    answers: Sequence[Answer] | None = None
    reason: str = ""
    detail: str = ""
    raised: Exception | None = None


def call_version(version: Answerer, rows: Sequence[RequestRow]) -> Said:
    """Ask `version`; what it raises, and what is no answer, is a reason."""
    try:
        answers = version.answer(cells_for(rows, version.columns.names))
        problem = nonsense(answers, len(rows), version.columns)
    except Exception as exc:  # noqa: BLE001 - the user's code may raise anything; the caller gets one kind of answer
        return Said(reason="error", detail=type(exc).__name__, raised=exc)
    return Said(reason="nonsense", detail=problem) if problem else Said(answers=answers)


def cells_for(rows: Sequence[RequestRow], names: Sequence[str]) -> Sequence[Mapping[str, Value]]:
    """Return the features that a version was trained on; the usual case copies nothing."""
    if rows and tuple(rows[0].values) == tuple(names):
        return [row.values for row in rows]
    return [{name: row.values[name] for name in names} for row in rows]
