"""What a job left behind."""

from pathlib import Path

from anew.domain.errors import IntegrityError, TrainingError
from anew.loop.training_run import ARTIFACT, read_outcome
from anew.ports.artifact import ArtifactStore
from anew.ports.compute import JobStatus

__all__ = ["results_of", "stored_artifact"]


def results_of(status: JobStatus) -> Path:
    """Return the folder that a finished job left.

    Raises
    ------
    TrainingError
        It names none.
    """
    if status.folder is None:
        raise TrainingError("error", "the job says that it is done and names no folder")
    return status.folder


def stored_artifact(artifacts: ArtifactStore, status: JobStatus) -> str:
    """Store the version that a finished training left, and return its digest.

    Raises
    ------
    IntegrityError
        It is not what the training says that it made.
    """
    folder = results_of(status)
    made = read_outcome(folder)
    digest = artifacts.put(folder / ARTIFACT)
    if digest != made.digest:
        raise IntegrityError(f"the run made the artifact {made.digest}, what it left has the digest {digest}")
    return digest
