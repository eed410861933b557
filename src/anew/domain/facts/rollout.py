"""Facts of the rollout: who gets which traffic, what was seen, and how it ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Counts, Evidence
from anew.domain.fact import Fact
from anew.domain.interval import Interval

__all__ = [
    "Arm",
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
    AB = "ab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A challenger and the keys that it answers: those whose position falls in ``[low, low + share)``."""

    version: str
    digest: str
    low: float = 0.0
    share: float = 0.0

    def __post_init__(self) -> None:
        if not (self.low >= 0 and self.share >= 0 and self.low + self.share <= 1):
            raise InvariantError(
                f"{self.version} is to answer {self.share} of the keys from {self.low} on; both lie in [0, 1]"
            )

    @property
    def pair(self) -> tuple[str, str]:
        """Version and digest."""
        return self.version, self.digest

    def answers(self, position: float) -> bool:
        """Is a key of this position in [0, 1) one of its own?"""
        return self.low <= position < self.low + self.share


def _arms_of(
    stage: Stage, share: float, challenger: tuple[str, str], arms: tuple[Arm, ...], trial: str
) -> tuple[Arm, ...]:
    """Return who is on probation under a routing, the first of them being `challenger`; raise if that is no routing."""
    if not 0 <= share <= 1:
        raise InvariantError(f"the share of traffic is {share}; it must lie in [0, 1]")
    if (stage is Stage.STEADY) == bool(challenger[0]):
        raise InvariantError(f"stage {stage} with challenger {challenger[0]!r} is no routing")
    if stage is not Stage.AB:
        if arms:
            raise InvariantError(f"stage {stage} has one challenger at most, not {len(arms)} arms")
        return (Arm(version=challenger[0], digest=challenger[1], share=share),) if challenger[0] else ()
    if not (arms and trial and (arms[0].pair, arms[0].share) == (challenger, share)):
        raise InvariantError("a trial has a name and arms, the first of which is the challenger")
    ends = [0.0, *(arm.low + arm.share for arm in arms)]
    if any(arm.low < end for arm, end in zip(arms, ends[:-1], strict=True)):
        raise InvariantError(f"two arms of the trial {trial} would answer the same keys")
    return arms


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
        SHADOW and CANARY have a challenger, AB has one or more; STEADY has none.
    share
        Share of keys in [0, 1] that the challenger answers; 0 in shadow.
    champion, challenger, fallback
        Pairs of version and digest; ("", "") for none. `fallback` is where a rollback of the champion goes.
    arms
        Of a trial, by place, the first being `challenger`; empty in every other stage.
    trial
        Name of the trial, by which keys find their arm; empty where there is none.
    """

    asks: ClassVar[str] = "shift"
    schema: ClassVar[int] = 2

    epoch: int
    stage: Stage
    share: float
    champion: tuple[str, str]
    challenger: tuple[str, str] = ("", "")
    fallback: tuple[str, str] = ("", "")
    arms: tuple[Arm, ...] = ()
    trial: str = ""

    def __post_init__(self) -> None:
        super(TrafficShifted, self).__post_init__()
        _arms_of(self.stage, self.share, self.challenger, self.arms, self.trial)

    @property
    def challengers(self) -> tuple[Arm, ...]:
        """Who is on probation, each with its keys."""
        return _arms_of(self.stage, self.share, self.challenger, self.arms, self.trial)

    @property
    def named(self) -> tuple[tuple[str, str], ...]:
        """Every version that may have to answer, with its digest: champion, challengers, fallback."""
        pairs = (self.champion, *(arm.pair for arm in self.challengers), self.fallback)
        return tuple(pair for pair in pairs if pair[0])

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
    stage, share, champion, challenger, fallback, arms
        The routing in force from then on, as in TrafficShifted.
    trial
        The trial that it is about, whether that goes on or ends; empty where there was none.
    """

    schema: ClassVar[int] = 2

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
    arms: tuple[Arm, ...] = ()
    trial: str = ""

    @property
    def challengers(self) -> tuple[Arm, ...]:
        """Who is on probation from then on, each with its keys."""
        return _arms_of(self.stage, self.share, self.challenger, self.arms, self.trial)

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command

    def shifted(self) -> TrafficShifted:
        """Return the routing that it puts into force."""
        return TrafficShifted(
            model=self.model,
            at=self.at,
            id=self.id,
            cause=self.id,
            epoch=self.epoch,
            stage=self.stage,
            share=self.share,
            champion=self.champion,
            challenger=self.challenger,
            fallback=self.fallback,
            arms=self.arms,
            trial=self.trial if self.arms else "",
        )


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
    compute_s
        CPU seconds that the challenger's own processes have taken since the last look, on all workers: the rollout's
        share of what a retrain costs.
    """

    schema: ClassVar[int] = 3

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
    compute_s: float = 0.0

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

    @property
    def key(self) -> str:
        """One per version: a whole trial may be held at once."""
        return self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutResumed(Fact):
    """A rollout that a person held goes on."""

    version: str
    reason: str

    @property
    def key(self) -> str:
        """One per version."""
        return self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStalled(Fact):
    """A rollout has taken no step for so long that a later candidate may take its place; it goes on until then."""

    version: str
    evidence: tuple[Evidence, ...]
    reason: str

    @property
    def key(self) -> str:
        """One per version: several arms of a trial may stall at once."""
        return self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSuperseded(Fact):
    """A challenger gives way: to a later candidate, or to the arm that won its trial; nothing is held against it.

    `by` is whom it gives way to.
    """

    version: str
    by: str
    reason: str

    @property
    def key(self) -> str:
        """One per version: a whole trial may give way at once."""
        return self.version


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

    @property
    def key(self) -> str:
        """One per version: what is taken back may be a champion and what was on probation beside it."""
        return self.version
