"""What `import anew` offers in a notebook: a client, a project's record, profiles and drift of data frames."""

from anew.notebook.client import Client, Prediction
from anew.notebook.frame import Frame
from anew.notebook.measure import DriftResult, ProfileResult, drift, profile
from anew.notebook.project import GateResult, Project, RolloutResult, RunResult, StatusResult

__all__ = [
    "Client",
    "DriftResult",
    "Frame",
    "GateResult",
    "Prediction",
    "ProfileResult",
    "Project",
    "RolloutResult",
    "RunResult",
    "StatusResult",
    "drift",
    "profile",
]
