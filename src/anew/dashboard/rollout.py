"""The rollout under way as it is judged, and every one before it."""

from dataclasses import dataclass
from datetime import datetime

from anew.dashboard.asking import Asking
from anew.dashboard.loop import WayBack, way_back
from anew.dashboard.part import Measure, Said, measured, sentences
from anew.dashboard.probation import OnProbation, on_probation, way_ahead
from anew.dashboard.record import Record
from anew.domain.fact import Fact
from anew.domain.facts import GuardrailTripped, RolledBack, RolloutStarted, RolloutSuperseded, VersionPromoted
from anew.lineage import returns_of

__all__ = ["Ended", "RolloutPage", "TakenBack", "rollout_page"]

_KINDS = frozenset(
    {
        "GuardrailTripped", "RolledBack", "RolloutHeld", "RolloutResumed", "RolloutStalled", "RolloutStarted",
        "RolloutSuperseded", "TrafficOrdered", "TrafficShifted", "VersionPromoted",
    }
)  # fmt: skip
_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """When a champion was taken back, to whom, and why."""

    at: datetime
    to: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One rollout; `how` is promoted, rolled back, superseded or under way.

    Attributes
    ----------
    taken_back
        When a version that was promoted was taken back from serving, and why; None for one that was not.
    """

    version: str
    champion: str
    began: datetime
    ended: datetime | None
    how: str
    reason: str
    evidence: tuple[Measure, ...]
    taken_back: TakenBack | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPage:
    """All of it; `told` is what happened since the one under way began, `rivals` are the further arms of a trial.

    `way` is what a candidate that has passed its gates goes through.
    """

    way: str
    probation: OnProbation | None
    rivals: tuple[OnProbation, ...]
    back: WayBack
    told: tuple[Said, ...]
    rollouts: tuple[Ended, ...]


def rollout_page(asking: Asking) -> RolloutPage:
    """Make the page."""
    record = asking.record
    standing = on_probation(record, asking.policy.rollout)
    probation = next(iter(standing), None)
    found = {fact.id: fact for one in standing for fact in record.about(one.version) if fact.kind in _KINDS}
    told = sorted(found.values(), key=lambda fact: fact.at) if len(standing) > 1 else list(found.values())
    return RolloutPage(
        way=way_ahead(asking.policy.rollout),
        probation=probation,
        rivals=standing[1:],
        back=way_back(record),
        told=sentences(told[-_MOST:], asking.source.narrate),
        rollouts=tuple(_rollouts(record)),
    )


def _rollouts(record: Record) -> list[Ended]:
    started = [each for each in record.of_kind("RolloutStarted", most=_MOST) if isinstance(each, RolloutStarted)]
    return [_ended(record, each) for each in reversed(started)]


def _ended(record: Record, started: RolloutStarted) -> Ended:
    end = next((each for each in record.about(started.version) if _ends(each, started)), None)
    trip = next((each for each in record.about(started.version) if isinstance(each, GuardrailTripped)), None)
    how = {"VersionPromoted": "promoted", "RolledBack": "rolled back", "RolloutSuperseded": "superseded"}
    shown = trip if isinstance(end, RolledBack) and not end.evidence and trip else end
    return Ended(
        version=started.version,
        champion=started.champion,
        began=started.at,
        ended=end.at if end else None,
        how=how[end.kind] if end else "under way",
        reason=getattr(end, "reason", ""),
        evidence=measured(getattr(shown, "evidence", ())),
        taken_back=_taken_back(record, end) if isinstance(end, VersionPromoted) else None,
    )


def _taken_back(record: Record, promoted: VersionPromoted) -> TakenBack | None:
    gone = next((each for each in returns_of(record, promoted.previous) if each.version == promoted.version), None)
    return None if gone is None else TakenBack(at=gone.at, to=gone.to, reason=gone.reason)


def _ends(fact: Fact, started: RolloutStarted) -> bool:
    ends = isinstance(fact, VersionPromoted | RolledBack | RolloutSuperseded)
    return ends and fact.at >= started.at and getattr(fact, "version", "") == started.version
