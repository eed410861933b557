"""What SQL of a project may read: it is tried on rows of nothing that have the kinds of the project's columns."""

from collections.abc import Sequence

import polars as pl

from anew.adapters._lake_frame import schema_of
from anew.app.settings import Settings
from anew.domain.column import Columns
from anew.domain.errors import InvariantError
from anew.feedback.outcome import THUMB
from anew.stats.business import check_aggregate
from anew.stats.condition import as_answered, broken, names_in

__all__ = ["aggregate_problems", "rule_problems"]

_WORDS = {pl.Float64: "a number", pl.Int64: "a number", pl.String: "text", pl.List: "a vector"}


def rule_problems(conditions: Sequence[str], columns: Columns) -> list[str]:
    """Say which conditions cannot be read on any row of the project, and why."""
    rows = _rows(columns, 2)
    if "prediction" not in rows.columns:
        rows = rows.with_columns(prediction=as_answered(rows.get_column("_output"), numbered=columns.numbered))
    problems = []
    for keep in conditions:
        try:
            broken(keep, rows)
        except pl.exceptions.PolarsError as exc:
            names = [name for name in dict.fromkeys(names_in(keep)) if name in rows.columns]
            read = "".join(f"; {name} is {_WORDS.get(rows.schema[name].base_type(), 'a time')}" for name in names)
            why = str(exc).partition("\n")[0]
            problems.append(
                f"rule {keep!r} cannot be read: {why}{read}. A rule is true or false for each row, and compares "
                "numbers with numbers and text with 'text'"
            )
    return problems


def aggregate_problems(name: str, settings: Settings) -> list[str]:
    """Say, in a list of none or one, why a metric of the project's own in SQL is no number of any rows of it."""
    classes = pl.Series([str(each) for each in settings.columns.classes] or [None] * 2)
    rows = _rows(settings.columns, classes.len())
    answers = classes.cast(rows.schema["_output"])
    events = [pl.lit(None, dtype=pl.Float64).alias(event) for event in (*settings.events, THUMB)]
    try:
        check_aggregate(
            f"business.{name}",
            settings.policy.business[name],
            rows.with_columns(answers.alias("_output"), answers.alias("_label"), *events),
        )
    except InvariantError as exc:
        return [str(exc)]
    return []


def _rows(columns: Columns, count: int) -> pl.DataFrame:
    """Return so many rows of nothing, as the lake has them, with the columns that gates are shown besides."""
    served = schema_of(columns)["predictions"]
    beside = {"_label": served["_output"], **dict.fromkeys(columns.sensitive, pl.String())}
    return pl.DataFrame(schema={**beside, **served}).clear(count)
