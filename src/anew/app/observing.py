"""Settings into what a live loop observes of its model, and when."""

from collections.abc import Callable
from functools import partial

from anew.adapters.profile_folder import ProfileFolder
from anew.app.judging import judged_by
from anew.app.review import review_of
from anew.app.settings import Settings
from anew.app.watch import watched_by
from anew.loop.observer_plan import Known, ObserverPlan
from anew.ports.review import ReviewStore
from anew.ports.traffic import Traffic

__all__ = ["observer_plan"]

_MOST = 50
"""Windows of a turn: tens of milliseconds each, and the lease is renewed and orders are taken between two turns."""


def observer_plan(
    settings: Settings, known: Callable[[str], Known], questions: ReviewStore, traffic: Traffic
) -> ObserverPlan:
    """Return the plan of a project.

    Parameters
    ----------
    known
        Returns what is needed of a version by its digest.
    questions
        Where what people are asked about is kept.
    traffic
        Where the gateways' workers say what a challenger takes.
    """
    watched = watched_by(settings)
    judging = judged_by(settings, watched)
    return ObserverPlan(
        model=settings.model,
        columns=settings.columns,
        detectors=watched.detectors,
        at_once=watched.at_once,
        known=known,
        window=settings.window,
        count=settings.window_rows,
        lateness=settings.lateness,
        label_delay=settings.label_delay,
        feedback=watched.feedback,
        events=settings.events,
        rules=settings.label_rules,
        implicit=settings.implicit,
        paired_by=judging.paired_by,
        arms_by=judging.arms_by,
        rule_limit=judging.rules,
        rollout_cpu_s=partial(_taken_s, traffic, settings.model),
        review=review_of(settings, questions),
        profiles=ProfileFolder(settings.state / "profiles"),
        revise=settings.revise,
        keep=settings.keep,
        most=_MOST,
    )


def _taken_s(traffic: Traffic, model: str, version: str) -> float:
    """Return the CPU seconds that a challenger's own processes have taken, on all workers."""
    said = (each for worker in traffic.workers(model) for each in worker.challengers)
    return sum(each.cpu_s for each in said if each.version == version)
