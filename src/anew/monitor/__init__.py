"""Windows in, alerts out: one detector per file."""

from anew.monitor._detector import Detector, Detectors, Finding, ScoredRows, SeenRows, Yardstick
from anew.monitor._period import Summing
from anew.monitor._stage import Monitor, MonitorState
from anew.monitor._trait import Traits

__all__ = [
    "Detector",
    "Detectors",
    "Finding",
    "Monitor",
    "MonitorState",
    "ScoredRows",
    "SeenRows",
    "Summing",
    "Traits",
    "Yardstick",
]
