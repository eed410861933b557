"""Settings into a training: limits, search, and what user code may read meanwhile."""

import ast

from anew.app.accepted import kept_code
from anew.app.duration import parse_duration
from anew.app.settings import Settings
from anew.app.training_job import FINISH, FIT, TRIALS
from anew.app.watch import Watch
from anew.domain.errors import SettingsError
from anew.loop.adopted import Adopted
from anew.loop.search import SearchPlan
from anew.loop.training import SAMPLE_ROWS
from anew.loop.training_order import Training
from anew.ports.compute import Limits, Request
from anew.stats.outcome import is_known, known_for

__all__ = ["limits_of", "search_plan", "training_of"]


def training_of(settings: Settings, watched: Watch) -> Training:
    """Return how the project's versions are trained."""
    policy, review = settings.policy.train, settings.policy.feedback.review
    strange = review is not None and review.ood is not None
    return Training(
        fit=FIT,
        finish=FINISH,
        pipeline=settings.pipeline,
        kept=kept_code(settings),
        columns=settings.columns,
        params=policy.params,
        search=search_plan(settings),
        sample_rows=SAMPLE_ROWS if watched.needs_sample or strange else 0,
        traits=watched.needs_traits,
        losses=True,
        export=policy.export == "onnx",
        reads=tuple(str(settings.root / path) for path in policy.reads),
        trial=TRIALS,
        request=Request(
            cpus=policy.request.cpus, memory_bytes=policy.request.memory_mb << 20, gpus=policy.request.gpus
        ),
        confined=policy.sandbox,
        adopt=_adopted(settings),
    )


def _adopted(settings: Settings) -> Adopted | None:
    adopt = settings.policy.train.adopt
    if adopt is None:
        return None
    return Adopted(file=str(settings.root / adopt.model), format=adopt.format, sha256=adopt.sha256)


def limits_of(settings: Settings) -> Limits:
    """Return what a run may use; a search has its time besides that of the fit."""
    policy, search = settings.policy.train, settings.policy.search
    wall = parse_duration(policy.timeout).total_seconds()
    return Limits(
        wall_s=wall + (parse_duration(search.timeout).total_seconds() if search.trials else 0.0),
        cpu_s=parse_duration(policy.cpu).total_seconds(),
        memory_bytes=policy.memory_mb << 20,
        output_bytes=policy.output_mb << 20,
        free_bytes=policy.free_mb << 20,
    )


def search_plan(settings: Settings) -> SearchPlan | None:
    """Return the project's search, or None.

    Raises
    ------
    SettingsError
        Its metric is none of the task's, or the pipeline has no space to search in.
    """
    policy = settings.policy.search
    if not policy.trials:
        return None
    metric = policy.metric or ("log_loss" if settings.task.classifies else "mae")
    problems = []
    if not is_known(metric, settings.task):
        known = ", ".join(known_for(settings.task))
        where = settings.document.where(("search", "metric"))
        problems.append(f"{where}: search.metric: there is no {metric!r} for {settings.task}; there are {known}")
    if not _defines_a_space(settings):
        where = settings.document.where(("search", "trials"))
        problems.append(
            f"{where}: search.trials: {settings.policy.pipeline} defines no `search_space`; write "
            "`def search_space(trial):` there, or leave the search out"
        )
    if problems:
        raise SettingsError(*problems)
    return SearchPlan(
        metric=metric,
        trials=policy.trials,
        folds=policy.folds,
        parallel=policy.parallel,
        timeout_s=parse_duration(policy.timeout).total_seconds(),
        prune=policy.prune == "median",
    )


def _defines_a_space(settings: Settings) -> bool:
    """Look into the pipeline without running it; what is no Python is somebody else's to complain of."""
    try:
        tree = ast.parse(settings.pipeline.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    names += [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    imported = [
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    return "search_space" in (*names, *imported)
