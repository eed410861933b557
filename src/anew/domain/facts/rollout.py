"""Facts of the rollout: who gets which traffic, what was seen, and how it ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Counts, Evidence
from anew.domain.fact import Fact
from anew.domain.interval import Interval

__all__ = [
    "GuardrailTripped",
    "Order",
    "RolledBack",
    "RolloutHeld",
    "RolloutObserved",
    "RolloutResumed",
    "RolloutStalled",
    "RolloutStarted",
    "RolloutSuperseded",
    "Stage",
    "TrafficApplied",
    "TrafficOrdered",
    "TrafficShifted",
    "VersionPromoted",
]


class Stage(StrEnum):
    """Where a challenger stands on its way to traffic."""

    SHADOW = "shadow"
    CANARY = "canary"
    STEADY = "steady"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStarted(Fact):
    """A challenger begins its probation beside the champion (`champion` is empty for the first)."""

    version: str
    digest: str
    champion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficShifted(Fact):
    """The routing of one model from now on, complete in itself; asks for its publication to the gateways.

    Attributes
    ----------
    epoch
        Counts up with every shift of a model; a gateway never goes back to a smaller one.
    stage
        SHADOW and CANARY have a challenger; STEADY has none.
    share
        Share of keys in [0, 1] that the challenger answers; 0 in shadow.
    champion, challenger, fallback
        Pairs of version and digest; ("", "") for none. `fallback` is where a rollback of the champion goes.
    """

    asks: ClassVar[str] = "shift"

    epoch: int
    stage: Stage
    share: float
    champion: tuple[str, str]
    challenger: tuple[str, str] = ("", "")
    fallback: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        super(TrafficShifted, self).__post_init__()
        if not 0 <= self.share <= 1:
            raise InvariantError(f"the share of traffic is {self.share}; it must lie in [0, 1]")
        if (self.stage is Stage.STEADY) == bool(self.challenger[0]):
            raise InvariantError(f"stage {self.stage} with challenger {self.challenger[0]!r} is no routing")

    @property
    def key(self) -> str:
        """One per epoch."""
        return str(self.epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficApplied(Fact):
    """Every gateway worker that is alive answers by the routing that its cause asked for."""

    ends: ClassVar[bool] = True

    epoch: int
    workers: int


class Order(StrEnum):
    """What a person may order the gateways to do: keep the traffic, let it go on, end the rollout, go back."""

    HOLD = "hold"
    RESUME = "resume"
    ABORT = "abort"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOrdered(Fact):
    """A person ordered the gateways themselves, which obey at once; the record hears of it when it can.

    Attributes
    ----------
    command
        Unique; a repeat of it changes nothing.
    version
        Whom the order takes off traffic, or holds.
    epoch
        Above every epoch that was published by then, by a wide margin: what was decided meanwhile comes too late.
    stage, share, champion, challenger, fallback
        The routing in force from then on, as in TrafficShifted.
    """

    command: str
    action: Order
    version: str
    epoch: int
    stage: Stage
    share: float
    champion: tuple[str, str]
    challenger: tuple[str, str]
    fallback: tuple[str, str]
    by: str
    reason: str

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutObserved(Fact):
    """What mature labels said since the last look, as counts that add up; at most one look a second.

    Attributes
    ----------
    look
        Number of the look at this stage, from 1.
    span
        Event time of the requests that it covers; looks never overlap.
    paired_down, paired_up
        Champion's loss less challenger's, in [-1, 1], on the same requests: rounded down and rounded up.
    champion_loss, challenger_loss
        Losses in [0, 1] of the answers that each arm gave to real users in the canary.
    paired_of, arms_of
        What the outcomes of pairs and of arms are, e.g. ``error`` or ``kpi margin by user``: those of one kind alone
        add up.
    """

    schema: ClassVar[int] = 2

    version: str
    stage: Stage
    look: int
    span: Interval
    paired_down: Counts
    paired_up: Counts
    champion_loss: Counts
    challenger_loss: Counts
    paired_of: str = "error"
    arms_of: str = "error"

    @property
    def key(self) -> str:
        """One per look."""
        return f"{self.version}/{self.stage}/{self.span.start.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailTripped(Fact):
    """A limit that needs no labels was broken by the challenger or the champion (errors, latency, nonsense answers)."""

    version: str
    guardrail: str
    evidence: tuple[Evidence, ...]
    reason: str

    @property
    def key(self) -> str:
        """One per version and guardrail."""
        return f"{self.version}/{self.guardrail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutHeld(Fact):
    """Nothing can be decided (no traffic, no labels): the traffic stays as it is until something comes or expires."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutResumed(Fact):
    """A rollout that a person held goes on."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStalled(Fact):
    """A rollout has taken no step for so long that a later candidate may take its place; it goes on until then."""

    version: str
    evidence: tuple[Evidence, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSuperseded(Fact):
    """A stalled challenger gives way to a later candidate, `by`; nothing is held against it."""

    version: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPromoted(Fact):
    """A challenger became champion; the old one stays warm as the fallback.

    `settings` is the digest of the policy under which it was decided.
    """

    schema: ClassVar[int] = 2

    version: str
    digest: str
    previous: str
    evidence: tuple[Evidence, ...]
    reason: str
    settings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack(Fact):
    """Traffic goes back from `version` to `to`; `version` is quarantined until a person releases it."""

    version: str
    to: str
    evidence: tuple[Evidence, ...]
    reason: str
