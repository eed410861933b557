"""`anew access`: a token is shown once, listed without its secret, and taken back; each with a fact."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.access import access_file
from tests.cli.call import Called, call
from tests.cli.recorded import write_record

Run = Callable[..., Called]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, "access", *arguments)


def test_a_token_is_made_listed_and_taken_back(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    token = run("create", "checkout", "--expires", "90d", "--project", project).out.strip()
    who = access_file(project / ".anew").verify(token, now=SystemClock().now())
    assert who is not None
    assert (who.name, who.role) == ("checkout", "machine")
    listed = run("list", "--project", project)
    assert "checkout" in listed.out
    assert token.split("_", 2)[2] not in listed.out + run("list", "--project", project, "--json").out
    assert run("revoke", who.id, "--project", project).code == 0
    assert access_file(project / ".anew").verify(token, now=SystemClock().now()) is None
    with closing(Database(project / ".anew" / "anew.db", create=False)) as database:
        posted = SQLInbox(database, clock=SystemClock()).pending()
    assert [(fact.kind, getattr(fact, "name", "")) for fact in posted] == [
        ("AccessGranted", "checkout"),
        ("AccessRevoked", "checkout"),
    ]
    assert token.split("_", 2)[2] not in str(posted)


def test_mistakes_are_told(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    made = json.loads(run("create", "ann", "--role", "operator", "--project", project, "--json").out)["data"]
    assert made["role"] == "operator"
    assert run("create", "ann", "--project", project).code == 5
    assert run("create", "bob", "--role", "king", "--project", project).code == 2
    assert run("revoke", "nobody", "--project", project).code == 4
    assert run("list", "--project", tmp_path).code == 4
