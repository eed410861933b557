"""Simulated effects: candidates of a drawn quality, measured, shifted, failed or spoilt, without data or models."""

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    SnapshotTaken,
    TrafficApplied,
    TrafficShifted,
    TrainingPlanned,
)

__all__ = ["FAILURES", "GATE_SUBJECTS", "Quality", "SimulatedEffects"]

FAILURES = ("error", "killed", "oom", "timeout", "disk_full", "cancelled", "unknown")
"""Reasons for which an effect comes to nothing."""

GATE_SUBJECTS = {"slos": "error at most 0.5", "beats_champion": "excess loss", "advice": "error at most 0.15"}
"""Gates of `small_stages`, with the subject of the evidence that each reads."""


class Quality(StrEnum):
    """What a candidate is worth: on held-out rows, in shadow, and to real users."""

    GOOD = "good"
    EQUAL = "equal"
    BAD = "bad"
    TRAP = "trap"
    SLEEPER = "sleeper"

    @property
    def excess_held_out(self) -> float:
        """Mean excess loss over the champion on held-out rows; a trap and a sleeper look good."""
        return {Quality.EQUAL: 0.0, Quality.BAD: 0.2}.get(self, -0.05)

    @property
    def harms_in_shadow(self) -> bool:
        """Is it worse than the champion on the same live requests?"""
        return self in (Quality.TRAP, Quality.BAD)

    @property
    def harms_in_canary(self) -> bool:
        """Is it worse to real users, which shadow need not see?"""
        return self in (Quality.TRAP, Quality.BAD, Quality.SLEEPER)


@dataclass(slots=True)
class SimulatedEffects:
    """Answers what facts ask for; remembers the quality that each digest was drawn with."""

    qualities: dict[str, Quality] = field(default_factory=dict)

    def quality(self, digest: str) -> Quality:
        """Return the quality of an artifact."""
        return self.qualities.get(digest, Quality.EQUAL)

    def answer(self, asked: Fact, chance: Random) -> Fact:
        """Return the fact that ends the effect that `asked` asks for, when all goes well."""
        match asked:
            case TrainingPlanned():
                return _snapshot(asked)
            case SnapshotTaken():
                return self._trained(asked, chance)
            case CandidateTrained():
                return self._measured(asked, self._evidence(asked))
            case TrafficShifted():
                return TrafficApplied(
                    model=asked.model, at=asked.at, cause=asked.id, epoch=asked.epoch, workers=chance.randint(1, 4)
                )
        raise AssertionError(f"{asked.kind} asks for {asked.asks!r}, which this world does not know")

    def spoil(self, asked: Fact, chance: Random) -> Fact:
        """Answer a measurement with evidence that may not pass any gate; anything else as `answer` does."""
        if not isinstance(asked, CandidateTrained):
            return self.answer(asked, chance)
        good = self._evidence(asked)
        gate = chance.choice([each.name for each in good if each.name != "advice"])
        kind = chance.choice(("missing", "nan", "few", "problem", "wide", "no interval", "nothing", "other digest"))
        if kind == "other digest":
            return self._measured(asked, good, digest=f"{asked.digest}0")
        if kind == "nothing":
            return self._measured(asked, ())
        return self._measured(
            asked,
            tuple(spoilt for each in good for spoilt in (_spoilt(each, kind) if each.name == gate else (each,))),
        )

    def fail(self, asked: Fact, chance: Random) -> EffectFailed:
        """Return the fact that ends the effect with a failure."""
        return EffectFailed(
            model=asked.model,
            at=asked.at,
            cause=asked.id,
            effect=asked.asks,
            version=getattr(asked, "version", ""),
            reason=chance.choice(FAILURES),
            detail="as this story has it",
            compute_s=chance.randint(0, 60) / 4,
        )

    def _trained(self, asked: SnapshotTaken, chance: Random) -> CandidateTrained:
        digest = f"digest-{asked.seed:08x}-{chance.randrange(1 << 16):04x}"
        if self.qualities and chance.random() < 0.1:
            digest = chance.choice(sorted(self.qualities))  # the same rows and seed give the same bytes again
        else:
            self.qualities[digest] = chance.choices(tuple(Quality), weights=(50, 10, 16, 10, 14))[0]
        return CandidateTrained(
            model=asked.model,
            at=asked.at,
            cause=asked.id,
            version=asked.version,
            champion=asked.champion,
            digest=digest,
            snapshot=asked.digest,
            rows=asked.rows,
            compute_s=chance.randint(1, 60) / 4,
        )

    def _evidence(self, asked: CandidateTrained) -> tuple[Evidence, ...]:
        excess = self.quality(asked.digest).excess_held_out
        error = 0.55 if asked.digest.endswith("0") else 0.2 + excess
        found = [
            Evidence.of("slos", error, 300, subject=GATE_SUBJECTS["slos"]),
            Evidence.of("advice", error, 300, subject=GATE_SUBJECTS["advice"]),
        ]
        if asked.champion:
            interval = (excess - 0.02, excess + 0.02)
            found.append(
                Evidence.of("beats_champion", excess, 300, subject=GATE_SUBJECTS["beats_champion"], interval=interval)
            )
        return tuple(found)

    @staticmethod
    def _measured(asked: CandidateTrained, evidence: tuple[Evidence, ...], digest: str = "") -> CandidateMeasured:
        return CandidateMeasured(
            model=asked.model,
            at=asked.at,
            cause=asked.id,
            version=asked.version,
            champion=asked.champion,
            digest=digest or asked.digest,
            evidence=evidence,
        )


def _snapshot(asked: TrainingPlanned) -> SnapshotTaken:
    return SnapshotTaken(
        model=asked.model,
        at=asked.at,
        cause=asked.id,
        version=asked.version,
        champion=asked.champion,
        digest=f"rows-{asked.seed:08x}",
        tables=(("labels", 1), ("predictions", 1)),
        span=asked.span,
        rows=1000,
        holdout_rows=150,
        seed=asked.seed,
    )


def _spoilt(evidence: Evidence, kind: str) -> tuple[Evidence, ...]:
    name, subject, value = evidence.name, evidence.subject, evidence.value or 0.0
    match kind:
        case "missing":
            return ()
        case "nan":
            return (Evidence.of(name, float("nan"), 300, subject=subject, interval=(-0.1, 0.1)),)
        case "few":
            return (Evidence.of(name, value, 3, subject=subject, interval=(value, value)),)
        case "problem":
            return (Evidence.of(name, value, 300, subject=subject, problem="the pool broke"),)
        case "wide" if name == "beats_champion":
            return (Evidence.of(name, value, 300, subject=subject, interval=(value - 0.5, value + 0.5)),)
        case "no interval" if name == "beats_champion":
            return (Evidence.of(name, value, 300, subject=subject),)
    return (Evidence.of(name, None, 300, subject=subject),)
