"""Records of whole runs, kept as they were written, and what they came to: each release has to read them the same.

``python -m tests.loop.recorded_run PROJECT NAME`` keeps that of a project as ``tests/loop/recorded/NAME.jsonl.gz``.
"""

import gzip
import json
import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from anew.adapters.fact_codec import decode
from anew.domain.fact import Fact
from anew.domain.facts import VersionPromoted
from anew.governance import Governance
from anew.loop.pending import Pending, pending_after
from anew.registry import Registry
from anew.rollout import Rollout
from anew.trigger import Trigger

__all__ = ["FOLDER", "came_to", "keep", "kept"]

FOLDER = Path(__file__).with_name("recorded")


def kept(file: Path) -> tuple[Sequence[Fact], Mapping[str, Any]]:
    """Return the facts of a kept record, and what they came to when it was kept."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        *facts, last = map(json.loads, lines)
    return [decode(each["kind"], each["schema"], each["body"].encode()) for each in facts], last


def came_to(facts: Iterable[Fact]) -> Mapping[str, Any]:
    """Fold facts and say where everything stands."""
    registry, rollout, governance, trigger = Registry(), Rollout(), Governance(), Trigger()
    versions, traffic, consent, asked = registry.initial(), rollout.initial(), governance.initial(), trigger.initial()
    pending, champions = Pending(), dict[tuple[str, str], None]()
    for fact in facts:
        versions, traffic = registry.apply(versions, fact), rollout.apply(traffic, fact)
        consent, asked = governance.apply(consent, fact), trigger.apply(asked, fact)
        pending = pending_after(pending, fact)
        if isinstance(fact, VersionPromoted):
            champions.pop((fact.version, fact.digest), None)
            champions[fact.version, fact.digest] = None
    return {
        "versions": {
            each.version: [each.standing.value, each.since.isoformat(), each.digest]
            for each in versions.versions.values()
        },
        "fallback": versions.fallback,
        "champions": list(champions),
        "serving": traffic.serving,
        "quarantined": sorted(map(str, traffic.quarantined)),
        "waits for consent": consent.waiting is not None,
        "requests": [each.isoformat() for each in asked.requests],
        "runs": [round(each.compute_s, 6) for each in asked.runs],
        "pending": sorted(pending.facts),
    }


def keep(project: Path, name: str) -> None:
    """Keep the record of a project whose facts are on this disk."""
    with closing(sqlite3.connect(project / ".anew" / "anew.db")) as database:
        rows = database.execute("SELECT kind, schema, body FROM fact ORDER BY seq").fetchall()
    facts = [decode(kind, schema, str(body).encode()) for kind, schema, body in rows]
    FOLDER.mkdir(exist_ok=True)
    lines = [json.dumps({"kind": kind, "schema": schema, "body": str(body)}) for kind, schema, body in rows]
    text = "\n".join([*lines, json.dumps(came_to(facts))])
    (FOLDER / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    keep(Path(sys.argv[1]), sys.argv[2])
