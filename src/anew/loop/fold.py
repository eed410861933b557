"""How good a set of parameters is on one fold: fit on the rows before it, ask about its own."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from anew.domain.column import Columns
from anew.domain.errors import AnewError, InvariantError, TrainingError
from anew.loop.measure import as_values
from anew.loop.search import HIGHER_IS_BETTER, SearchPlan, fold_rows
from anew.loop.training import Kit, Recipe, assemble, draft, user_code
from anew.ports.pipeline import Pipeline
from anew.ports.predictor import Predictions
from anew.ports.search import Attempt, Scores
from anew.stats.outcome import measure_metric

__all__ = ["fold_scores", "score_attempt"]


def fold_scores(
    rows: pl.DataFrame, recipe: Recipe, plan: SearchPlan, pipeline: Pipeline, kit: Kit, previous: object | None
) -> Scores:
    """Return what scores attempts one after the other in this process.

    Parameters
    ----------
    rows
        Rows to train on, in time order; none of those held out for the gates.
    recipe
        Its parameters apply where an attempt has no others.
    """

    def scores(attempts: Sequence[Attempt]) -> Sequence[float | str]:
        return [one(each) for each in attempts]

    def one(attempt: Attempt) -> float | str:
        try:
            return score_attempt(rows, attempt, recipe, plan, pipeline, kit, previous)
        except AnewError as exc:
            return str(exc)

    return scores


def score_attempt(
    rows: pl.DataFrame,
    attempt: Attempt,
    recipe: Recipe,
    plan: SearchPlan,
    pipeline: Pipeline,
    kit: Kit,
    previous: object | None,
) -> float:
    """Fit with the attempt's parameters and return the loss on its fold.

    Raises
    ------
    TrainingError
        The fit failed, or the metric cannot be measured on what it says.
    """
    before, end = fold_rows(rows.height, plan.folds)[attempt.fold]
    tried = Recipe(columns=recipe.columns, seed=recipe.seed, params={**recipe.params, **attempt.params})
    made = draft(rows.head(before), tried, pipeline, kit, previous=previous)
    _, predictor = assemble(made, tried, before, pipeline, kit)
    fold = rows.slice(before, end - before)
    said = user_code("the model", lambda: predictor.predict(fold))
    return _loss(plan.metric, recipe.columns, fold.get_column("_label"), said)


def _loss(metric: str, columns: Columns, labels: pl.Series, said: Predictions) -> float:
    classes = tuple(map(str, columns.classes))
    try:
        found = measure_metric(
            metric,
            columns.task,
            as_values(labels, columns.task),
            as_values(said.output, columns.task),
            positive=classes[-1] if classes else None,
            chance=said.proba,
            classes=classes,
        ).value
    except InvariantError as exc:
        raise TrainingError("error", f"{metric} cannot be measured on {labels.len()} rows: {exc}") from exc
    if not np.isfinite(found):
        raise TrainingError("error", f"{metric} on {labels.len()} rows is {found}")
    return -found if metric in HIGHER_IS_BETTER else found
