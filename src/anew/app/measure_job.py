"""The measuring job with its adapters: what compute runs as ``anew.app.measure_job:run``."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from anew.app.accepted import accepted
from anew.app.gates import chosen_gates
from anew.app.trial import rows_on_trial
from anew.domain.evidence import Evidence
from anew.loop.measure import measure_gates

__all__ = ["ENTRY", "read_evidence", "run"]

ENTRY = "anew.app.measure_job:run"


def run(arguments: Mapping[str, str], folder: Path) -> None:
    """Measure a candidate on the held-out rows of its snapshot, as the JSON file ``run`` says."""
    order = json.loads(Path(arguments["run"]).read_text("utf-8"))
    settings = accepted(Path(order["project"]))
    chosen = chosen_gates(settings)
    evidence = measure_gates(chosen.gates, rows_on_trial(settings, chosen, order))
    (folder / "evidence.json").write_bytes(msgspec.json.encode(evidence))


def read_evidence(data: bytes) -> tuple[Evidence, ...]:
    """Read what the job left in ``evidence.json``."""
    return msgspec.json.decode(data, type=tuple[Evidence, ...])
