"""Every fact of anew, by the name under which it is stored."""

from collections.abc import Mapping

from anew.domain.fact import Fact
from anew.domain.facts.command import ProjectChanged, QuarantineReleased, RetrainCommanded, RollbackCommanded, Ticked
from anew.domain.facts.observation import AlertRaised, IncidentRaised, RowsChecked, WindowClosed, WindowScored
from anew.domain.facts.retraining import (
    CandidateTrained,
    EffectFailed,
    RetrainApproved,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    SnapshotTaken,
    TrainingEnded,
    TrainingPlanned,
)
from anew.domain.facts.rollout import (
    GuardrailTripped,
    RolledBack,
    RolloutHeld,
    RolloutObserved,
    RolloutStarted,
    Stage,
    TrafficApplied,
    TrafficShifted,
    VersionPromoted,
)
from anew.domain.facts.validation import (
    CandidateAccepted,
    CandidateMeasured,
    CandidateRefused,
    GateJudged,
    OverrideSigned,
    RolloutApproved,
)

__all__ = [
    "FACTS",
    "AlertRaised",
    "CandidateAccepted",
    "CandidateMeasured",
    "CandidateRefused",
    "CandidateTrained",
    "EffectFailed",
    "GateJudged",
    "GuardrailTripped",
    "IncidentRaised",
    "OverrideSigned",
    "ProjectChanged",
    "QuarantineReleased",
    "RetrainApproved",
    "RetrainCommanded",
    "RetrainRefused",
    "RetrainRequested",
    "RetrainWithheld",
    "RollbackCommanded",
    "RolledBack",
    "RolloutApproved",
    "RolloutHeld",
    "RolloutObserved",
    "RolloutStarted",
    "RowsChecked",
    "SnapshotTaken",
    "Stage",
    "Ticked",
    "TrafficApplied",
    "TrafficShifted",
    "TrainingEnded",
    "TrainingPlanned",
    "VersionPromoted",
    "WindowClosed",
    "WindowScored",
]

FACTS: Mapping[str, type[Fact]] = {
    kind.__name__: kind
    for kind in (
        AlertRaised,
        CandidateAccepted,
        CandidateMeasured,
        CandidateRefused,
        CandidateTrained,
        EffectFailed,
        GateJudged,
        GuardrailTripped,
        IncidentRaised,
        OverrideSigned,
        ProjectChanged,
        QuarantineReleased,
        RetrainApproved,
        RetrainCommanded,
        RetrainRefused,
        RetrainRequested,
        RetrainWithheld,
        RollbackCommanded,
        RolledBack,
        RolloutApproved,
        RolloutHeld,
        RolloutObserved,
        RolloutStarted,
        RowsChecked,
        SnapshotTaken,
        Ticked,
        TrafficApplied,
        TrafficShifted,
        TrainingEnded,
        TrainingPlanned,
        VersionPromoted,
        WindowClosed,
        WindowScored,
    )
}
