"""Candidate in, verdicts out: one gate per file."""

from anew.validate._gate import Answers, Disparity, Examinee, Gate, Gates, HeldOut, Judgement, Package
from anew.validate._stage import Validate, ValidateState

__all__ = [
    "Answers",
    "Disparity",
    "Examinee",
    "Gate",
    "Gates",
    "HeldOut",
    "Judgement",
    "Package",
    "Validate",
    "ValidateState",
]
