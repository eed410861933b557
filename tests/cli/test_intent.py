"""What changes something can be looked at before, bound to who serves, and is asked about at a terminal."""

import io
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from anew.adapters.job_record import JobRecord
from anew.adapters.sql_database import open_database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.person import access_file, user_file
from anew.cli._help import commands, help_of
from anew.domain.facts import CandidateTrained, GateJudged
from anew.domain.verdict import Verdict
from anew.ports.compute import Job
from tests.cli.call import Called, call
from tests.cli.recorded import AT, record, write_record
from tests.cli.test_model_run import asked_for

Run = Callable[..., Called]

LOOKS = {
    "audit export", "audit head", "audit show", "audit verify", "backtest", "ci", "completion", "data drift",
    "data export", "data profile", "data score", "doctor", "explain", "gate", "label next", "label status", "lineage",
    "model list", "model reproduce", "model show", "models", "profile", "access list", "access users", "replay",
    "report", "rollout status", "run show", "status", "validate", "watch",
}  # fmt: skip
"""Commands that leave a project as it is; some write a new file that they are told the name of."""

ADDS = {
    "access add-user", "access create", "backup", "data log", "demo", "gateway", "init", "label answer", "label send",
    "label skip", "model card", "up",
}  # fmt: skip
"""Commands that add what was not there, or run until they are ended: their answer says no more than their name."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, *arguments)


def test_whatever_else_changes_something_says_so_before() -> None:
    have = {
        " ".join(each)
        for each in commands()
        if all(flag in help_of(each) for flag in ("--dry-run", "--yes", "--expect-champion"))
    }
    assert have == {" ".join(each) for each in commands()} - LOOKS - ADDS
    assert "approve" in have


def state_of(project: Path) -> tuple[object, ...]:
    """Return all that a command may have changed of who signed, who is let in, and what the loop is asked for."""
    state = project / ".anew"
    with closing(open_database(state / "anew.db")) as database:
        posted = SQLInbox(database, clock=SystemClock()).pending()
    files = {
        path: path.stat().st_size
        for path in project.rglob("*")
        if path.is_file() and path.suffix != ".lock" and "anew.db" not in path.name
    }
    return tuple(fact.id for fact in posted), files, access_file(state).records(), user_file(state).records()


COMMANDS = [
    (("approve", "v2", "fairness", "--reason", "x"), "approve gate fairness of v2 (artifact"),
    (("override", "v2", "rules", "--reason", "x"), "override gate rules of v2 (artifact"),
    (("retrain",), "ask for a retrain; v1 serves meanwhile"),
    (("data", "purge", "--source", "mallory"), "leave the labels and rows of mallory out of every training"),
    (("data", "purge", "--subject", "customer 7", "--retrain"), "erase every row of customer 7"),
    (("access", "revoke", "ann"), "refuse ann (approver), with 1 of their tokens"),
    (("access", "set-role", "ann", "viewer"), "make ann viewer, who is approver now"),
    (("access", "set-password", "ann"), "give ann another password, and sign ann out"),
    (("access", "link", "ann", "--account", "ann-os"), "say that ann-os is ann, which is not taken back"),
    (("migrate", "--revision", "0001"), "back to revision 0001"),
]


@pytest.fixture
def project(tmp_path: Path, run: Run) -> Path:
    project = write_record(tmp_path / "p")
    trained = CandidateTrained(
        model="small", at=AT, version="v2", champion="v1", digest="d" * 64, snapshot="", rows=1, compute_s=0.0
    )
    judged = [
        GateJudged(
            model="small", at=AT, version="v2", gate=gate, verdict=Verdict.FAIL, required=True, reason="", ask=ask
        )
        for gate, ask in (("fairness", True), ("rules", False))
    ]
    record(project, trained, *judged)
    assert run("access", "add-user", "ann", "--role", "approver", "--project", project).code == 0
    assert run("access", "create", "ann", "--role", "approver", "--project", project).code == 0
    return project


def place(words: tuple[str, ...], project: Path) -> tuple[object, ...]:
    """Return the words of a command with the project where that command takes it."""
    given = words[0] in {"approve", "override", "reject", "access"}
    return (*words, "--project", project) if given else (*words, project)


@pytest.mark.parametrize(("words", "would"), COMMANDS, ids=[" ".join(words[:3]) for words, _ in COMMANDS])
def test_it_is_looked_at_before(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], would: str
) -> None:
    before = state_of(project)
    looked = run(*place(words, project), "--dry-run")
    assert (looked.code, looked.err) == (0, "")
    assert looked.out.startswith("would ")
    assert would in looked.out
    assert state_of(project) == before
    told = json.loads(run(*place(words, project), "--dry-run", "--json").out)["data"]
    said = [told.get(key) for key in ("asked", "ordered", "changed", "moved") if key in told]
    assert said == [False] or told["outcome"] == "planned"
    other = run(*place(words, project), "--expect-champion", "v7")
    assert (other.code, other.out) == (5, "")
    assert "v1 serves, not v7; nothing was changed" in other.err
    monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    monkeypatch.setattr("anew.cli._intent.sys.stderr.isatty", lambda: True, raising=False)
    refused = run(*place(words, project))
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("This would ")
    assert refused.err.endswith("Go on? [y/N] nothing was changed\n")
    assert state_of(project) == before
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run(*place(words, project)).code == 0
    assert state_of(project) != before or words[0] == "migrate"


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS if words[0] != "migrate"], ids=" ".join)
def test_yes_asks_nobody(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    before = state_of(project)
    monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    monkeypatch.setattr("anew.cli._intent.sys.stderr.isatty", lambda: True, raising=False)
    assert run(*place(words, project), "--yes").code == 0
    assert state_of(project) != before


def test_a_run_is_looked_at_before_it_is_cancelled(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    record = JobRecord(project / ".anew" / "jobs" / asked_for(project))
    record.create(Job(id=record.folder.name, entry="anew.x:y", arguments={}))
    assert run("run", "cancel", project, "--dry-run").out.startswith("would cancel v2, which has come this far: ")
    told = json.loads(run("run", "cancel", project, "--dry-run", "--json").out)["data"]
    assert (told["cancelled"], [each["version"] for each in told["runs"]]) == (False, ["v2"])
    assert run("run", "cancel", project, "--expect-champion", "v7").code == 5
    assert not record.cancelled
    assert run("run", "cancel", project, "--expect-champion", "v1").code == 0
    assert record.cancelled


class Terminal(io.StringIO):
    """Somebody at a terminal who says this."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True
