"""What the folds of a record have come to, without what grows with its versions: that is in the catalogue."""

from collections import Counter, deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, get_origin

import msgspec

import anew
from anew.dashboard.spent import seconds_of
from anew.domain.fact import Fact
from anew.domain.facts import RetrainRequested, RolloutObserved, RolloutStarted, Ticked
from anew.domain.persistent_map import PersistentMap
from anew.governance import Governance, GovernanceState
from anew.rollout import Quarantine, Rollout, RolloutState
from anew.trigger import Trigger, TriggerState

__all__ = ["MOST_LOOKS", "Digest", "maker", "packed", "unpacked"]

MOST_LOOKS = 5_000
_KNOWN_BY = 32
_ROLLOUT, _GOVERNANCE, _TRIGGER = Rollout(), Governance(), Trigger()
_MAKERS = ("dashboard", "domain", "governance", "lineage", "registry", "rollout", "trigger")


@dataclass(slots=True, kw_only=True)
class Digest:
    """How things stand at the last fact.

    Attributes
    ----------
    tick
        Event time of the last tick.
    fallback
        The version that a rollback goes to, as the registry has it.
    rollout
        Without the digests of versions and those in quarantine, which no page asks for.
    requests
        Event times of the last requests to retrain, as the trigger has them.
    asked
        Numbers of the facts whose effects have not ended, by their ids.
    looks
        Numbers of the looks of the challengers on probation with their versions, from the beginning of each.
    standing
        How many versions stand where.
    names, runs, judged, moves
        How many versions were named, came into the registry and were judged by gates, and how often one was moved.
    compute_s
        CPU time that all runs took, from their snapshots to their gates.
    """

    tick: datetime | None = None
    fallback: str = ""
    rollout: RolloutState = field(default_factory=RolloutState)
    governance: GovernanceState = field(default_factory=GovernanceState)
    requests: tuple[datetime, ...] = ()
    asked: dict[str, int] = field(default_factory=dict)
    looks: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=MOST_LOOKS))
    standing: Counter[str] = field(default_factory=Counter)
    names: int = 0
    runs: int = 0
    judged: int = 0
    moves: int = 0
    compute_s: float = 0.0

    def hear(self, fact: Fact, seq: int, digests: Mapping[str, str]) -> None:
        """Fold a fact; `digests` has those of the versions that it names and that were trained."""
        before = self.rollout
        for version, digest in digests.items():
            before = replace(before, digests=before.digests.having(version, digest))
        rollout = _ROLLOUT.apply(before, fact)
        if rollout.digests or rollout.quarantined:
            rollout = replace(rollout, digests=PersistentMap(), quarantined=Quarantine())
        self.rollout = rollout
        self.governance = _GOVERNANCE.apply(self.governance, fact)
        match fact:
            case Ticked():
                self.tick = fact.at
            case RolloutObserved():
                self.looks.append((seq, fact.version))
            case RolloutStarted():
                kept = [each for each in self.looks if each[1] != fact.version and self.rollout.arm(each[1])]
                self.looks = deque(kept, maxlen=MOST_LOOKS)
            case RetrainRequested():
                self.requests = _TRIGGER.apply(TriggerState(requests=self.requests), fact).requests
        self.compute_s += seconds_of(fact) or 0.0
        if fact.ends:
            self.asked.pop(fact.cause, None)
        if fact.asks:
            self.asked[fact.id] = seq


def packed(digest: Digest) -> bytes:
    """Return a digest as it is kept: after what its bytes are known by."""
    body = msgspec.json.encode(digest, enc_hook=_plain)
    return sha256(body).digest() + body


def unpacked(kept: bytes) -> Digest:
    """Return a digest that was kept; raise a ValueError where it is none."""
    known, body = kept[:_KNOWN_BY], kept[_KNOWN_BY:]
    if sha256(body).digest() != known:
        raise ValueError("its state is not what was written")
    try:
        return msgspec.json.decode(body, type=Digest, dec_hook=_built)
    except msgspec.MsgspecError as exc:
        raise ValueError(f"its state is none: {exc}") from exc


def maker() -> str:
    """Return what tells this code from all that may find something else in the same facts."""
    root, told = Path(anew.__file__).parent, sha256(anew.__version__.encode())
    for package in _MAKERS:
        for file in sorted((root / package).rglob("*.py")):
            told.update(file.read_bytes())
    return told.hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, AbstractSet | deque):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no part of a digest")


def _built(kind: Any, value: Any) -> object:
    origin = get_origin(kind) or kind
    if origin is PersistentMap:
        return PersistentMap()
    if origin is Quarantine:
        return Quarantine()
    if origin is Counter:
        return Counter(value)
    if origin is deque:
        return deque(((int(seq), str(version)) for seq, version in value), maxlen=MOST_LOOKS)
    raise TypeError(f"{kind} is no part of a digest")
