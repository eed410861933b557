"""A project that serves nothing says why, and what to do about it."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from anew.app.doctor.examined import Examined
from anew.app.doctor.store import STORE
from anew.app.settings import load
from anew.app.status import project_status
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateAccepted,
    CandidateHeld,
    CandidateRefused,
    EffectFailed,
    GateJudged,
    RetrainRequested,
    RolloutRefused,
)
from anew.domain.health import Finding, Health
from anew.domain.severity import Severity
from anew.domain.verdict import Verdict
from tests.app.small_project import write_project
from tests.cli.call import call
from tests.cli.recorded import record, write_record

T0 = datetime(2024, 1, 1, tzinfo=UTC)
COMMON: dict[str, Any] = {"model": "small", "at": T0, "version": "v1"}


def judged(gate: str, *, ask: bool = False) -> GateJudged:
    return GateJudged(**COMMON, gate=gate, verdict=Verdict.FAIL, required=True, reason="", ask=ask)


def refused(*gates: str) -> CandidateRefused:
    said = "; ".join(f"{gate} FAIL: 0.3246 measured" for gate in gates)
    return CandidateRefused(**COMMON, verdict=Verdict.FAIL, gates=gates, reason=said)


def project(folder: Path, *facts: Fact) -> Path:
    """Write a project that never had a champion, with these facts on record."""
    made = write_project(folder)
    load(made).state.mkdir(mode=0o700)
    record(made, *facts)
    return made


def champion(made: Path) -> Finding:
    return STORE["champion"](Examined(settings=load(made), quick=True))


ENDS: dict[str, tuple[Sequence[Fact], Sequence[str], Sequence[str]]] = {
    "refused": (
        (judged("slos"), refused("slos")),
        ("v1 was refused", "0.3246"),
        ("anew override v1 slos --reason", "change slos in anew.yaml", "anew retrain"),
    ),
    "refused by one that asks, too": (
        (judged("rules"), judged("fairness", ask=True), refused("rules", "fairness")),
        ("v1 was refused",),
        ("anew override v1 rules --reason", "anew approve v1 fairness --reason", "mend what they refuse"),
    ),
    "no gate": ((refused(),), ("v1 was refused",), ("require a gate in anew.yaml that looks at", "retrain")),
    "held": (
        (judged("fairness", ask=True),
         CandidateHeld(**COMMON, champion="", digest="d", gates=("fairness",), reason="x")),
        ("v1 waits for persons",),
        ("anew approve v1 fairness --reason", "mend what they ask about", "anew retrain"),
    ),
    "held by a column that tells the label": (
        (judged("leakage", ask=True),
         CandidateHeld(**COMMON, champion="", digest="d", gates=("leakage",), reason="later alone tells the label")),
        ("v1 waits for persons", "later alone tells the label"),
        ("anew approve v1 leakage --reason", "out of what features in pipeline.py returns", "anew retrain"),
    ),
    "failed": (
        (EffectFailed(**COMMON, effect="train", reason="error", detail="no column y"),),
        ("train of v1 failed", "no column y"),
        ("mend that", "anew retrain"),
    ),
    "not consented to": (
        (judged("slos"), refused("slos"), CandidateAccepted(**COMMON, champion="", digest="d"),
         RolloutRefused(**COMMON, digest="d", by="policy", reason="anew.yaml changed")),
        ("v1 was not consented to", "anew.yaml changed"),
        ("anew retrain",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_why_there_is_no_first_champion_and_what_to_do(
    end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, found, fix = ENDS[end]
    made = project(tmp_path / "small", *facts)
    said = project_status(made)["unserved"]
    assert said["version"] == "v1"
    assert all(part in said["found"] for part in found), said
    assert all(part in said["fix"] for part in fix), said
    finding = champion(made)
    assert (finding.health, finding.found, finding.fix) == (Health.BAD, said["found"], said["fix"])
    text = call(capsys, monkeypatch, "status", made).out
    assert said["found"] in text
    assert said["fix"] in text


def test_what_may_still_become_one_or_was_asked_for_anew_is_no_problem(tmp_path: Path) -> None:
    again = RetrainRequested(model="small", at=T0, reason="command", triggers=(), severity=Severity.LOW)
    made = project(tmp_path / "small", judged("slos"), refused("slos"), again)
    assert project_status(made)["unserved"] is None
    assert champion(made).health is Health.SKIPPED
    served = write_record(tmp_path / "served")
    assert project_status(served)["unserved"] is None


def test_a_project_without_rows_is_told_where_they_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_project(tmp_path / "small")
    command = [sys.executable, "-m", "anew.cli", "up", str(made), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("serving on"):
                break
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert any("no model is served" in line and "data: {history: FILE}" in line for line in said), said
    found = json.loads(call(capsys, monkeypatch, "status", made, "--json").out)["data"]["unserved"]
    assert (found["version"], "history" in found["fix"]) == ("", True)
    finding = champion(made)
    assert finding.health is Health.WARNING
