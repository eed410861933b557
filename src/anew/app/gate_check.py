"""Run a project's gates on a version of its registry, beside the loop and without a trace in the record."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anew.adapters.fact_reader import read_facts
from anew.app.gates import chosen_gates
from anew.app.kept import kept_artifacts, kept_snapshots
from anew.app.model_card import Carded, model_card
from anew.app.record_place import record_place
from anew.app.settings import Settings
from anew.app.trial import rows_on_trial
from anew.domain.errors import NotFoundError
from anew.domain.facts import CandidateAccepted, CandidateHeld, CandidateMeasured, CandidateTrained, GateJudged
from anew.domain.manifest import Manifest
from anew.loop.measure import measure_gates
from anew.registry import Registry
from anew.validate import Validate

__all__ = ["GateCheck", "check_gates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """What the gates say of a version now: `outcome` is accepted, waiting or refused; `card` is its model card."""

    version: str
    champion: str
    outcome: str
    verdicts: Sequence[GateJudged]
    card: str


def check_gates(settings: Settings, version: str) -> GateCheck:
    """Measure and judge `version` on the held-out rows of its own snapshot, against the champion of today.

    A version that serves is compared with the champion that it once had to beat. Settings and suites are those of the
    project's folder as it is now; nothing is recorded.

    Raises
    ------
    NotFoundError
        The project was never brought up, or has no such version.
    AnewError
        A stored artifact or snapshot is damaged, or cannot be read.
    """
    trained, champion, first = _candidate(settings.state, version)
    artifacts = kept_artifacts(settings.state)
    chosen = chosen_gates(settings)
    place = artifacts.get(trained[version].digest)

    def stored(name: str) -> tuple[str, str, str]:
        digest = trained[name].digest if name in trained else ""
        return (name, digest, str(artifacts.get(digest))) if digest else (name, "", "")

    fact, snapshots = replace(trained[version], champion=champion), kept_snapshots(settings.state)
    pinned = "" if chosen.anchor is None else chosen.anchor or first
    order: dict[str, Any] = {
        **_recorded(settings.state, trained[version].id),
        "snapshot": str(snapshots.get(fact.snapshot)),
        "trained_rows": fact.rows,
        "beside": str(snapshots.get(fact.both.snapshot)) if fact.both else "",
        "candidate": stored(version),
        "champion": stored(champion),
        "anchor": stored(pinned),
    }
    measured = CandidateMeasured(
        model=fact.model,
        at=fact.at,
        id="check",
        cause=fact.id,
        version=version,
        champion=champion,
        digest=fact.digest,
        evidence=measure_gates(chosen.gates, rows_on_trial(settings, chosen, order)),
    )
    stage = Validate(gates=chosen.gates, asking=chosen.asking)
    decided = stage.decide(stage.apply(stage.initial(), fact), measured)
    manifest = Manifest.from_json((place / "manifest.json").read_text("utf-8"))
    return GateCheck(
        version=version,
        champion=champion,
        outcome=next(
            (said for kind, said in _OUTCOMES.items() if any(isinstance(each, kind) for each in decided)), "refused"
        ),
        verdicts=[each for each in decided if isinstance(each, GateJudged)],
        card=model_card(
            settings.root, Carded(name=settings.model, version=version, digest=fact.digest, manifest=manifest)
        ),
    )


_OUTCOMES = {CandidateAccepted: "accepted", CandidateHeld: "waiting"}


def _candidate(state: Path, version: str) -> tuple[Mapping[str, CandidateTrained], str, str]:
    """Return every version that was trained, the champion to compare `version` with, and the first one ever."""
    registry = Registry()
    versions, trained = registry.initial(), {}
    for recorded in read_facts(record_place(state)):
        versions = registry.apply(versions, recorded.fact)
        if isinstance(recorded.fact, CandidateTrained):
            trained[recorded.fact.version] = recorded.fact
    if version not in trained:
        raise NotFoundError(f"there is no version {version!r}; known are {', '.join(trained) or 'none yet'}")
    serving = versions.champion.version if versions.champion else ""
    first = versions.served[0] if versions.served else ""
    return trained, trained[version].champion if serving == version else serving, first


def _recorded(state: Path, id: str) -> Mapping[str, Any]:
    """Return the rows that were put aside when the version was measured by the loop, where they are still there."""
    file = state / "orders" / f"{id}.json"
    try:
        order = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {kind: order[kind] for kind in ("recorded", "past") if order.get(kind) and Path(order[kind]).is_file()}
