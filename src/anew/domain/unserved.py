"""Why a project has no champion, and what to do: a first candidate that came to nothing is not tried again."""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from anew.domain.fact import Fact
from anew.domain.facts import CandidateHeld, CandidateRefused, EffectFailed, GateJudged, RolloutRefused

__all__ = ["ATTEMPT", "NO_ROWS", "Unserved", "signatures", "unserved"]

ATTEMPT = (GateJudged, CandidateHeld, CandidateRefused, EffectFailed, RolloutRefused)
"""What is on record of a candidate that has not come to traffic."""

_AGAIN = "anew retrain --reason …"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """What keeps a first champion away, and what to do; `version` is empty where no candidate was tried."""

    version: str
    found: str
    fix: str


NO_ROWS = Unserved(
    version="",
    found="no model is served: there is no champion, and no labelled rows to train a first one from",
    fix="name a file of them in anew.yaml (data: {history: FILE}) and start anew up again",
)


def unserved(attempt: Sequence[Fact] | None, stored: Mapping[str, int] | None) -> Unserved | None:
    """Return what keeps a first champion away; None while one may still come of what is under way.

    Parameters
    ----------
    attempt
        The facts of `ATTEMPT` since the newest request to retrain, oldest first; None where none was ever made.
    stored
        Rows by table; None before there is any.
    """
    if attempt is None:
        return None if (stored or {}).get("history") else NO_ROWS
    ended = [each for each in attempt if not isinstance(each, GateJudged)]
    match ended[-1] if ended else None:
        case CandidateRefused() as fact:
            asks = {each.gate for each in attempt if isinstance(each, GateJudged) and each.ask}
            found = f"{fact.version} was refused ({fact.verdict.name}): {fact.reason}"
            return Unserved(version=fact.version, found=found, fix=_way_past(fact, asks))
        case CandidateHeld() as fact:
            found = f"{fact.version} waits for persons: {fact.reason}"
            return Unserved(version=fact.version, found=found, fix=_way_on(fact))
        case EffectFailed() as fact:
            found = f"{fact.effect} of {fact.version} failed ({fact.reason}): {fact.detail}"
            return Unserved(version=fact.version, found=found, fix=f"mend that, then: {_AGAIN}")
        case RolloutRefused() as fact:
            found = f"{fact.version} was not consented to: {fact.reason}"
            return Unserved(version=fact.version, found=found, fix=f"another candidate: {_AGAIN}")
        case _:
            return None


def signatures(version: str, gates: Iterable[str], asking: Collection[str] | None = None) -> str:
    """Return the commands that sign for gates, one after another; for all but those that are `asking`, an override.

    >>> signatures("v2", ["leakage", "skew(x)"])
    "anew approve v2 leakage --reason …; anew approve v2 'skew(x)' --reason …"
    """
    verbs = {gate: "approve" if asking is None or gate in asking else "override" for gate in gates}
    return "; ".join(f"anew {verb} {version} {shlex.quote(gate)} --reason …" for gate, verb in verbs.items())


def _way_on(held: CandidateHeld) -> str:
    """Return how a candidate that waits goes on, and how another one comes to be that gives no cause to wait."""
    mend = "mend what they ask about"
    if "leakage" in held.gates:
        mend = "leave what gives the label away out of what features in pipeline.py returns"
    return f"{signatures(held.version, held.gates)}; otherwise {mend}, then: {_AGAIN}"


def _way_past(refused: CandidateRefused, asks: set[str]) -> str:
    """Return how a refused candidate goes on all the same, and how another one comes to be."""
    mend = "change slos in anew.yaml to what it can keep" if "slos" in refused.gates else "mend what they refuse"
    signed = signatures(refused.version, refused.gates, asks)
    if not signed:
        return f"require a gate in anew.yaml that looks at a version by itself, such as slos, then: {_AGAIN}"
    return f"good enough all the same: {signed}; otherwise {mend}, then: {_AGAIN}"
