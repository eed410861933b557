"""Repair of history before a corrective retrain: rows that break a rule are mended by the user's code, or left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from anew.domain.column import Columns
from anew.domain.errors import TrainingError
from anew.loop.training import user_code
from anew.monitor.rule import Rule
from anew.stats.condition import as_answered

__all__ = ["Correct", "Corrected", "corrected_rows"]

Correct = Callable[[pl.DataFrame], pl.DataFrame]
"""The pipeline's `correct`: declared features and the target in, the same rows mended out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """History in which every row keeps the rules; `repaired` rows were mended, `dropped` ones left out."""

    rows: pl.DataFrame
    repaired: int
    dropped: int


def corrected_rows(rows: pl.DataFrame, rules: Sequence[Rule], columns: Columns, correct: Correct | None) -> Corrected:
    """Return `rows` without any that breaks a rule, the label standing in the prediction's place.

    Parameters
    ----------
    rows
        ``_at``, ``_label`` and the declared features, in time order.
    correct
        Gets the broken rows alone, with the label under the target's name; None: they are left out.

    Raises
    ------
    TrainingError
        With the reason ``nothing_to_correct`` when no row breaks a rule and there is no `correct`: training on the same
        rows again would give the same model. With ``error`` when the user's code raised or returned other rows.
    """
    broken = _broken(rows, rules, columns)
    count = int(broken.sum())
    if correct is None:
        if not count:
            named = ", ".join(each.keep for each in rules)
            raise TrainingError(
                "nothing_to_correct",
                f"no row of the history breaks {named}, and the pipeline has no correct(rows): the same history would "
                "give the same model. Mend the source, or write correct",
            )
        return Corrected(rows=rows.filter(~broken), repaired=0, dropped=count)
    if not count:
        return Corrected(rows=rows, repaired=0, dropped=0)
    mended = _mended(rows.filter(broken), columns, correct)
    still = _broken(mended, rules, columns)
    number = rows.get_column("_at").to_frame().with_row_index("_row").select("_row")
    whole = pl.concat(
        [
            rows.with_columns(number.to_series()).filter(~broken),
            mended.with_columns(number.to_series().filter(broken)).filter(~still),
        ]
    )
    dropped = int(still.sum())
    return Corrected(rows=whole.sort("_row").drop("_row"), repaired=count - dropped, dropped=dropped)


def _broken(rows: pl.DataFrame, rules: Sequence[Rule], columns: Columns) -> pl.Series:
    broken = pl.Series("broken", [False]).new_from_index(0, rows.height)
    seen = rows.with_columns(prediction=as_answered(rows.get_column("_label"), numbered=columns.numbered))
    for rule in rules:
        try:
            broken |= rule.broken(seen).fill_null(value=False)
        except pl.exceptions.PolarsError as exc:
            raise TrainingError("error", f"the rule {rule.keep} cannot be read on the history: {exc}") from exc
    return broken


def _mended(rows: pl.DataFrame, columns: Columns, correct: Correct) -> pl.DataFrame:
    """Return the rows as the user's code mends them, in the same order and with the same times."""
    names = [*columns.names, columns.target]
    given = rows.rename({"_label": columns.target}).select(names)
    mended = user_code("correct()", lambda: correct(given))
    if not isinstance(mended, pl.DataFrame) or mended.height != rows.height or set(names) - set(mended.columns):
        found = f"{mended.height} rows with {mended.columns}" if isinstance(mended, pl.DataFrame) else repr(mended)
        raise TrainingError(
            "error",
            f"correct() was given {rows.height} rows with {names}; it has to return as many, found {found[:200]}",
        )
    try:
        cells = [mended.get_column(each).cast(rows.schema[each]) for each in columns.names]
        label = mended.get_column(columns.target).cast(rows.schema["_label"]).rename("_label")
    except pl.exceptions.PolarsError as exc:
        raise TrainingError("error", f"correct() returned columns of other kinds: {exc}") from exc
    return rows.with_columns(*cells, label)
