"""Facts of validation: what was measured on a candidate, what each gate says, whether it may be rolled out."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.verdict import Verdict

__all__ = [
    "CandidateAccepted",
    "CandidateMeasured",
    "CandidateRefused",
    "GateJudged",
    "OverrideSigned",
    "RolloutApproved",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateMeasured(Fact):
    """What the gates' measurements on the held-out rows gave; evidence is named by the gate."""

    ends: ClassVar[bool] = True

    version: str
    champion: str
    digest: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateJudged(Fact):
    """One gate's verdict on a candidate."""

    version: str
    gate: str
    verdict: Verdict
    required: bool
    reason: str
    evidence: tuple[Evidence, ...] = ()

    @property
    def key(self) -> str:
        """One per gate and cause."""
        return self.gate


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideSigned(Fact):
    """A person takes responsibility for a gate that did not pass; `signature` over digest, gate, person and reason."""

    version: str
    digest: str
    gate: str
    by: str
    reason: str
    signature: str

    @property
    def key(self) -> str:
        """One per gate and person."""
        return f"{self.version}/{self.gate}/{self.by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateAccepted(Fact):
    """Every required gate passed or was overridden by a signed fact."""

    version: str
    champion: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRefused(Fact):
    """At least one required gate did not pass."""

    version: str
    verdict: Verdict
    gates: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutApproved(Fact):
    """Governance consents to bringing exactly this digest to traffic."""

    version: str
    champion: str
    digest: str
    by: str
