"""The search for parameters: batches of trials, each scored on later rows than it was trained on.

Trials are scored fold by fold, all of a batch side by side, and judged only by trials of earlier batches: what comes of
a search depends on its seed and on how many run at once, never on which of them is quicker, nor on how often it was
killed on the way.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

from anew.domain.boundary import reach
from anew.domain.errors import InvariantError, TrainingError
from anew.loop.progress import Progress
from anew.loop.training import user_code
from anew.ports.search import Attempt, Scores, Space, Study, Trial, TrialState

__all__ = ["HIGHER_IS_BETTER", "Found", "SearchPlan", "fold_rows", "search", "suggested_before"]

HIGHER_IS_BETTER = frozenset({"accuracy", "f1", "precision", "recall", "roc_auc"})

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """How a search goes.

    Attributes
    ----------
    trials
        Sets of parameters that are tried, ended early ones among them.
    folds
        Blocks of the newest training rows that a trial is scored on, each after training on all rows before it.
    parallel
        Trials at once; each has a process of its own where there is more than one.
    timeout_s
        Wall seconds after which no further trial begins.
    metric
        What is to be least, or largest for those of `HIGHER_IS_BETTER`.
    prune
        Are trials given up that are worse than the median?
    warm
        Values suggested for the first trials: what was best before.
    """

    metric: str
    trials: int = 20
    folds: int = 3
    parallel: int = 1
    timeout_s: float = 1800.0
    prune: bool = True
    warm: tuple[Mapping[str, Any], ...] = field(default=())

    def __post_init__(self) -> None:
        if min(self.trials, self.folds, self.parallel) < 1:
            raise InvariantError("a search has at least one trial, one fold, and one trial at once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best parameters, the values they came from, and the record of the search as bytes of JSON."""

    params: Mapping[str, Any]
    suggested: Mapping[str, Any]
    record: bytes


def fold_rows(rows: int, folds: int) -> tuple[tuple[int, int], ...]:
    """Return for each fold the rows before which it trains, and before which it ends.

    The newest ``folds / (folds + 3)`` of the rows are scored on: a quarter for one fold, half for three.

    >>> fold_rows(60, 3)
    ((30, 40), (40, 50), (50, 60))
    """
    block = rows // (folds + 3)
    if block < 1:
        raise TrainingError("error", f"{rows} rows to train on are too few to search on {folds} folds; use fewer folds")
    return tuple((rows - (folds - k) * block, rows - (folds - k - 1) * block) for k in range(folds))


def search(plan: SearchPlan, study: Study, space: Space, scores: Scores, told: Callable[[Progress], None]) -> Found:
    """Run the search, or go on with it.

    Raises
    ------
    TrainingError
        Not one trial was complete, or `space` raised.
    """
    while batch := _batch(plan, study, space):
        for fold in range(plan.folds):
            batch = _scored(plan, study, batch, fold, scores)
        for trial in batch:
            study.end(trial.number, TrialState.COMPLETE)
            reach("search.told")
        trials = study.trials()
        ended = sum(trial.state is not TrialState.RUNNING for trial in trials)
        best = min((t.means[-1] for t in trials if t.state is TrialState.COMPLETE), default=None)
        told(Progress(step="search", done=ended, of=plan.trials, best=None if best is None else _said(plan, best)))
    return _found(plan, study.trials())


def _batch(plan: SearchPlan, study: Study, space: Space) -> list[Trial]:
    """Return the trials to go on with: those under way, or new ones; none when the search is over.

    A batch is asked for as a whole before any of it runs. One that a crash cut short is completed.
    """
    trials = study.trials()
    count = len(trials)
    whole = count % plan.parallel == 0 or count >= plan.trials
    running = any(trial.state is TrialState.RUNNING for trial in trials)
    if whole and not running and (count >= plan.trials or (count and study.elapsed_s() >= plan.timeout_s)):
        return []
    while count < plan.trials and not (whole and running):
        study.ask(lambda trial: user_code("search_space()", lambda: space(trial)))
        count, running = count + 1, True
        whole = count % plan.parallel == 0
        reach("search.asked")
    return [trial for trial in study.trials() if trial.state is TrialState.RUNNING]


def _scored(plan: SearchPlan, study: Study, batch: Sequence[Trial], fold: int, scores: Scores) -> list[Trial]:
    """Score what has not been scored on this fold, and return the trials that go on."""
    waiting = [trial for trial in batch if len(trial.means) == fold]
    found = scores([Attempt(number=trial.number, fold=fold, params=trial.params) for trial in waiting])
    for trial, score in zip(waiting, found, strict=True):
        if isinstance(score, str) or not isfinite(score):
            problem = score if isinstance(score, str) else f"its {plan.metric} is {score}"
            study.end(trial.number, TrialState.FAILED, problem)
            continue
        mean = (trial.means[-1] * fold + score) / (fold + 1) if fold else score
        study.report(trial.number, mean)
        reach("search.scored")
    going = {trial.number: trial for trial in study.trials() if trial.state is TrialState.RUNNING}
    for number in [trial.number for trial in batch if trial.number in going]:
        last = len(going[number].means) == fold + 1 < plan.folds
        if plan.prune and last and study.is_hopeless(number):
            study.end(number, TrialState.PRUNED)
            del going[number]
    return list(going.values())


def _found(plan: SearchPlan, trials: Sequence[Trial]) -> Found:
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if not complete:
        problem = next((trial.problem for trial in trials if trial.problem), "no trial was begun")
        raise TrainingError("error", f"none of {len(trials)} trials came to a score; the first: {problem}")
    best = min(complete, key=lambda trial: (trial.means[-1], trial.number))
    settings = {key: value for key, value in asdict(plan).items() if key != "timeout_s"}
    plain = {
        "schema": _SCHEMA,
        "plan": settings | {"warm": [dict(each) for each in plan.warm]},
        "best": best.number,
        "value": _said(plan, best.means[-1]),
        "trials": [asdict(trial) | {"means": [_said(plan, mean) for mean in trial.means]} for trial in trials],
    }
    return Found(
        params=best.params,
        suggested=best.suggested,
        record=(json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n").encode(),
    )


def _said(plan: SearchPlan, loss: float) -> float:
    """Return a loss as the metric that it was made of."""
    return -loss if plan.metric in HIGHER_IS_BETTER else loss


def suggested_before(record: bytes) -> Mapping[str, Any]:
    """Return the values that were best in a recorded search; empty for what is none."""
    try:
        plain = json.loads(record)
        found: Mapping[str, Any] = plain["trials"][plain["best"]]["suggested"]
    except (ValueError, KeyError, IndexError, TypeError):
        return {}
    return found
