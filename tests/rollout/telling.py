"""One rollout stage that is told facts as the engine tells them, and the facts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from anew.domain.evidence import Counts
from anew.domain.fact import Fact
from anew.domain.facts import (
    EffectFailed,
    GuardrailTripped,
    Order,
    RollbackCommanded,
    RolloutApproved,
    RolloutObserved,
    Stage,
    Ticked,
    TrafficApplied,
    TrafficOrdered,
    TrafficShifted,
)
from anew.domain.interval import Interval
from anew.domain.order import ordered
from anew.rollout import Outcome, Probation, Rollout, RolloutState, Ruling

T0 = datetime(2024, 1, 1, tzinfo=UTC)
H = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ByMean:
    """A judge for tables: harm below -0.5, advance above 0.5, of the paired mean in shadow or the arm's loss."""

    def rule(self, probation: Probation) -> Ruling:
        """Rule on the newest counts."""
        shadow = probation.stage is Stage.SHADOW
        counts = probation.paired_down if shadow else probation.challenger_loss
        mean = counts.mean if counts else None
        if mean is None:
            return Ruling(outcome=Outcome.HOLD, reason="nothing")
        gain = mean if shadow else 1 - 2 * mean
        if gain < -0.5:
            return Ruling(outcome=Outcome.HARM, reason="worse")
        return Ruling(outcome=Outcome.ADVANCE if gain > 0.5 else Outcome.HOLD, reason="seen")


class Story:
    """Feeds facts to one rollout stage, decisions first, as the engine does."""

    def __init__(self, stage: Rollout | None = None) -> None:
        self.stage = stage or Rollout(shadow=ByMean(), canary=ByMean(), steps=(0.1, 0.5), expire=10 * H)
        self.state: RolloutState = self.stage.initial()
        self.shifts: list[TrafficShifted] = []
        self._said = 0

    def hear(self, *facts: Fact) -> list[Fact]:
        """Return what is decided on `facts`."""
        decided: list[Fact] = []
        for fact in facts:
            self._hear(fact, decided)
        return decided

    def _hear(self, fact: Fact, decided: list[Fact]) -> None:
        self._said += 1
        fact = fact.caused_by(fact.cause or f"said-{self._said}")
        self.state = self.stage.apply(self.state, fact)
        if isinstance(fact, TrafficShifted):
            self.shifts.append(fact)
        for decision in self.stage.decide(self.state, fact):
            decided.append(decision)
            self._hear(decision.caused_by(fact.id), decided)

    def applied(self) -> list[Fact]:
        """Let the last shift come into force."""
        last = self.shifts[-1]
        return self.hear(TrafficApplied(model="m", at=last.at, cause=last.id, epoch=last.epoch, workers=1))

    def failed(self) -> list[Fact]:
        """Let the last shift fail."""
        last = self.shifts[-1]
        return self.hear(
            EffectFailed(model="m", at=last.at, cause=last.id, effect="shift", version="", reason="error", detail="")
        )

    def champion(self, version: str = "v1", digest: str = "") -> "Story":
        """Make `version` the first champion."""
        self.hear(approved(version, champion="", digest=digest))
        self.applied()
        return self

    def challenger(self, version: str = "v2", champion: str = "v1", digest: str = "") -> "Story":
        """Bring `version` into shadow."""
        self.hear(approved(version, champion=champion, digest=digest))
        self.applied()
        return self

    def promoted(self, version: str = "v2", champion: str = "v1") -> "Story":
        """Take `version` all the way."""
        self.challenger(version, champion)
        for stage, hour in ((Stage.SHADOW, 1), (Stage.CANARY, 2), (Stage.CANARY, 3)):
            self.hear(look(version, stage, hour, 1.0))
            self.applied()
        assert self.state.champion[0] == version
        return self


def approved(version: str, *, champion: str, digest: str = "", hour: int = 0) -> RolloutApproved:
    return RolloutApproved(
        model="m", at=T0 + hour * H, version=version, champion=champion, digest=digest or f"d-{version}", by="policy"
    )


def counts(low: float, mean: float, n: int) -> Counts:
    """Return `n` outcomes with the given mean, all at the ends of the grid."""
    top = round(n * (mean - low) / (1 - low))
    middle = (0,) if low < 0 else ()
    return Counts(low=low, high=1.0, counts=(n - top, *middle, top))


def look(version: str, stage: Stage, hour: int, gain: float, n: int = 10, start: int | None = None) -> RolloutObserved:
    paired, loss = counts(-1.0, gain, n), counts(0.0, (1 - gain) / 2, n)
    return RolloutObserved(
        model="m",
        at=T0 + hour * H,
        version=version,
        stage=stage,
        look=1,
        span=Interval(start=T0 + (hour - 1 if start is None else start) * H, end=T0 + hour * H),
        paired_down=paired,
        paired_up=paired,
        champion_loss=counts(0.0, 0.5, n),
        challenger_loss=loss,
    )


def tripped(version: str) -> GuardrailTripped:
    return GuardrailTripped(model="m", at=T0, version=version, guardrail="errors", evidence=(), reason="5 of 10")


def commanded(name: str = "stop") -> RollbackCommanded:
    return RollbackCommanded(model="m", at=T0, command=name, by="ada", reason="enough")


def ordering(routing: TrafficShifted, action: Order, name: str = "now") -> TrafficOrdered:
    """Return what a person's order comes to while `routing` is in force."""
    return ordered(routing, action, command=name, by="ada", reason="enough")


def tick(hour: int) -> Ticked:
    return Ticked(model="m", at=T0 + hour * H, wall=T0)


def kinds(facts: Iterable[Fact]) -> list[str]:
    return [fact.kind for fact in facts]


def routing(story: Story) -> tuple[str, str, str, float]:
    last = story.shifts[-1]
    return last.champion[0], last.challenger[0], last.fallback[0], last.share
