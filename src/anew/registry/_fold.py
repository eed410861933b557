"""Registry: where every version stands, folded from facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalAsked,
    CandidateHeld,
    CandidateRefused,
    CandidateTrained,
    QuarantineReleased,
    RolledBack,
    RolloutDelayed,
    RolloutRefused,
    RolloutStarted,
    RolloutSuperseded,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionArchived,
    VersionPromoted,
)
from anew.domain.interval import Interval
from anew.domain.persistent_map import PersistentMap

__all__ = ["ALIASES", "DONE", "Registry", "RegistryState", "Standing", "VersionRecord"]

ALIASES = ("champion", "challenger", "fallback")
"""Names that stand for a version: which, changes."""


class Standing(StrEnum):
    """Where a version stands."""

    TRAINING = "training"
    CANDIDATE = "candidate"
    HELD = "held"
    CHALLENGER = "challenger"
    CHAMPION = "champion"
    RETIRED = "retired"
    REFUSED = "refused"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    ARCHIVED = "archived"


DONE = (Standing.RETIRED, Standing.REFUSED, Standing.FAILED, Standing.QUARANTINED, Standing.ARCHIVED)
"""Where a version stands that is neither serving nor on its way to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """One version: its standing, since when, and why."""

    version: str
    standing: Standing
    since: datetime
    digest: str = ""
    reason: str = ""

    def measured_by(self, version: str, window: Interval) -> bool:
        """Do the numbers of a window that `version` answered say how this one does, where it stands now?"""
        return version == self.version and window.end > self.since


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryState:
    """Every version by name, in order of planning; and the version that a rollback goes to, empty for none.

    Versions pile up for as long as a model lives, so that a fact may copy no more than a few of them.

    Attributes
    ----------
    numbers
        Of each standing, the names of the versions that stand there, with their places in the order of planning.
    """

    versions: PersistentMap[str, VersionRecord] = field(default_factory=PersistentMap)
    fallback: str = ""
    numbers: Mapping[Standing, PersistentMap[str, int]] = field(default_factory=lambda: MappingProxyType({}))

    def standing(self, *standings: Standing) -> tuple[VersionRecord, ...]:
        """Return the versions of these standings, in order; looks at no others."""
        found = {name: number for each in standings for name, number in self.numbers.get(each, {}).items()}
        return tuple(self.versions[name] for name in sorted(found, key=found.__getitem__))

    def named(self, alias: str) -> VersionRecord | None:
        """Return the version that an alias stands for now; None for nobody, and for what is no alias."""
        known = {"champion": self.champion, "challenger": self.challenger, "fallback": self.versions.get(self.fallback)}
        return known.get(alias)

    @property
    def champion(self) -> VersionRecord | None:
        """The version that serves by right."""
        return next(iter(self.standing(Standing.CHAMPION)), None)

    @property
    def served(self) -> tuple[str, ...]:
        """Names of the versions that serve by right or did, in order of planning."""
        return tuple(each.version for each in self.standing(Standing.CHAMPION, Standing.RETIRED))

    @property
    def challenger(self) -> VersionRecord | None:
        """The version on probation; of several, the arms of a trial, the first that was planned."""
        return next(iter(self.standing(Standing.CHALLENGER)), None)


@dataclass(frozen=True, slots=True)
class Registry:
    """A fold that decides nothing."""

    def initial(self) -> RegistryState:
        """Return the registry without versions."""
        return RegistryState()

    def apply(self, state: RegistryState, fact: Fact) -> RegistryState:
        """Fold a fact."""
        match fact:
            case TrainingPlanned():
                return _put(state, fact, fact.version, Standing.TRAINING)
            case CandidateTrained():
                return _put(state, fact, fact.version, Standing.CANDIDATE, digest=fact.digest)
            case CandidateHeld():
                return _put(state, fact, fact.version, Standing.HELD, reason=fact.reason)
            case ApprovalAsked():
                asked = f"waits for {fact.needed} approvals ({', '.join(fact.why)})"
                return _put(state, fact, fact.version, Standing.HELD, reason=asked)
            case RolloutDelayed():
                return _put(state, fact, fact.version, Standing.HELD, reason=fact.reason)
            case CandidateRefused() | RolloutRefused():
                return _put(state, fact, fact.version, Standing.REFUSED, reason=fact.reason)
            case TrainingEnded() if fact.outcome == "failed":
                return _put(state, fact, fact.version, Standing.FAILED, reason=fact.detail)
            case RolloutStarted():
                return _put(state, fact, fact.version, Standing.CHALLENGER)
            case VersionPromoted():
                state = _retire(state, fact, fact.previous)
                return _put(state, fact, fact.version, Standing.CHAMPION, digest=fact.digest, reason=fact.reason)
            case RolledBack():
                was = state.versions.get(fact.version)
                state = _put(state, fact, fact.version, Standing.QUARANTINED, reason=fact.reason)
                if was is not None and was.standing is Standing.CHAMPION and fact.to:
                    state = _put(state, fact, fact.to, Standing.CHAMPION, reason=f"back from {fact.version}")
                return state
            case TrafficShifted() if fact.fallback[0] != state.fallback:
                return replace(state, fallback=fact.fallback[0])
            case RolloutSuperseded():
                reason = f"gave way to {fact.by or 'nobody'}: {fact.reason}"
                return _put(state, fact, fact.version, Standing.RETIRED, reason=reason)
            case QuarantineReleased() if _stands(state, fact.version, Standing.QUARANTINED):
                return _put(state, fact, fact.version, Standing.RETIRED, reason=f"released by {fact.by}: {fact.reason}")
            case VersionArchived() if fact.version in state.versions:
                was = state.versions[fact.version]
                if was.standing not in DONE or was.standing is Standing.ARCHIVED:
                    return state
                said = f"{was.standing} before; archived by {fact.by}: {fact.reason}"
                return _put(state, fact, fact.version, Standing.ARCHIVED, reason=said)
        return state

    def decide(self, state: RegistryState, fact: Fact) -> tuple[Fact, ...]:  # noqa: ARG002  the decider's contract
        """Decide nothing."""
        return ()


def _stands(state: RegistryState, version: str, standing: Standing) -> bool:
    record = state.versions.get(version)
    return record is not None and record.standing is standing


def _put(
    state: RegistryState, fact: Fact, version: str, standing: Standing, *, digest: str = "", reason: str = ""
) -> RegistryState:
    before = state.versions.get(version)
    record = VersionRecord(
        version=version,
        standing=standing,
        since=fact.at,
        digest=digest or (before.digest if before else ""),
        reason=reason,
    )
    return _stood(state, record)


def _retire(state: RegistryState, fact: Fact, version: str) -> RegistryState:
    record = state.versions.get(version)
    if record is None or record.standing is not Standing.CHAMPION:
        return state
    retired = replace(record, standing=Standing.RETIRED, since=fact.at, reason="a challenger was promoted")
    return _stood(state, retired)


def _stood(state: RegistryState, record: VersionRecord) -> RegistryState:
    """Return the state with a version's record, and its name among those of its standing alone."""
    name, before, numbers = record.version, state.versions.get(record.version), dict(state.numbers)
    number = len(state.versions) if before is None else numbers[before.standing][name]
    if before is not None:
        numbers[before.standing] = numbers[before.standing].without(name)
    numbers[record.standing] = numbers.get(record.standing, PersistentMap[str, int]()).having(name, number)
    return replace(state, versions=state.versions.having(name, record), numbers=MappingProxyType(numbers))
