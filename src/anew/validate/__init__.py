"""Candidate in, verdicts out: one gate per file."""

from anew.validate._gate import Gate, Gates, HeldOut, Judgement
from anew.validate._stage import Validate, ValidateState

__all__ = ["Gate", "Gates", "HeldOut", "Judgement", "Validate", "ValidateState"]
