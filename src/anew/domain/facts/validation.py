"""Facts of validation: what was measured on a candidate, what each gate says, whether it may be rolled out."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.verdict import Verdict

__all__ = [
    "ApprovalSigned",
    "CandidateAccepted",
    "CandidateHeld",
    "CandidateMeasured",
    "CandidateRefused",
    "GateJudged",
    "OverrideSigned",
    "RejectionSigned",
    "RolloutApproved",
    "RolloutRefused",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateMeasured(Fact):
    """What the gates' measurements on the held-out rows gave, in CPU seconds; evidence is named by the gate."""

    ends: ClassVar[bool] = True
    schema: ClassVar[int] = 2

    version: str
    champion: str
    digest: str
    evidence: tuple[Evidence, ...]
    compute_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateJudged(Fact):
    """One gate's verdict on a candidate; a gate that does not pass stands in the way, or with `ask` asks a person."""

    schema: ClassVar[int] = 2

    version: str
    gate: str
    verdict: Verdict
    required: bool
    reason: str
    evidence: tuple[Evidence, ...] = ()
    ask: bool = False

    @property
    def key(self) -> str:
        """One per gate and cause."""
        return self.gate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed(Fact):
    version: str
    digest: str
    gate: str
    by: str
    reason: str
    signature: str

    @property
    def key(self) -> str:
        """One per version, gate and person."""
        return f"{self.version}/{self.gate}/{self.by}"

    @property
    def signed(self) -> bytes:
        """What the signature is over: everything but the instant, each with its length before it."""
        parts = (self.kind, self.model, self.version, self.digest, self.gate, self.by, self.reason)
        return "".join(f"{len(part.encode())}:{part}" for part in parts).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideSigned(_Signed):
    """A person takes responsibility for a required gate that did not pass, for exactly this digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSigned(_Signed):
    """A person answers a gate that asked, or approves the promotion: this digest may go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionSigned(_Signed):
    """A person says no where an approval was asked for: this digest does not go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateAccepted(Fact):
    """Every gate passed, only advises, or was approved or overridden by a signed fact."""

    version: str
    champion: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateHeld(Fact):
    """No required gate is in the way, and `gates` ask a person; the candidate waits for a signed fact for each."""

    version: str
    champion: str
    digest: str
    gates: tuple[str, ...]
    reason: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRefused(Fact):
    """Governance refuses to bring an accepted candidate to traffic: what was consented to is no longer so."""

    version: str
    digest: str
    by: str
    reason: str
