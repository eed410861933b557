"""The jobs of a project: what its effects run in child processes."""

from functools import partial

from anew.adapters.git_revision import code_revision
from anew.adapters.model_format import DataFormats
from anew.app.accepted import accepted_folder
from anew.app.compare_job import ENTRY as COMPARE
from anew.app.correct_job import ENTRY as CORRECT
from anew.app.measure_job import ENTRY as MEASURE
from anew.app.measure_job import read_evidence
from anew.app.model_card import CARD
from anew.app.score_job import ENTRY as SCORE
from anew.app.settings import FILE, Settings
from anew.app.suites import trial_needs
from anew.app.training import limits_of, training_of
from anew.app.watch import watched_by
from anew.loop.blending import can_blend
from anew.loop.live_effects import Jobs

__all__ = ["jobs_of"]


def jobs_of(settings: Settings) -> Jobs:
    """Return what a project's effects run in child processes."""
    return Jobs(
        training=training_of(settings, watched_by(settings)),
        measure=MEASURE,
        correct=CORRECT,
        compare=COMPARE,
        score=SCORE,
        orders=settings.state / "orders",
        project=settings.root,
        limits=limits_of(settings),
        read_evidence=read_evidence,
        reads=_project_files(settings),
        needs=trial_needs(settings),
        revision=partial(code_revision, settings.root, (settings.policy.pipeline, FILE)),
        blends=partial(can_blend, formats=DataFormats(), wanted=settings.policy.data.blend),
    )


def _project_files(settings: Settings) -> tuple[str, ...]:
    """Return what gates and rules are made of: neither the state of the project nor whatever else lies beside."""
    suites = (each.file for each in settings.policy.suites.values() if each.file)
    files = (FILE, settings.policy.pipeline, CARD, *suites)
    return (*(str(settings.root / name) for name in files), str(accepted_folder(settings.root)))
