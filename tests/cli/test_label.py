"""`anew label`: an item to look at, an answer, and what is left."""

import json
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.review_db import ReviewDB
from anew.app.access import NewUser, add_user, create_token, revoke_access, set_role
from anew.app.asker import who_asks
from anew.app.settings import load
from anew.app.stores import review_file
from anew.domain.access import Role
from anew.ports.review import ReviewItem
from tests.app.small_project import YAML
from tests.cli.call import Called, call
from tests.cli.recorded import AT, write_record

REVIEW = "feedback: {review: {per_day: 5}}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = write_record(tmp_path / "p")
    (made / "anew.yaml").write_text(YAML + REVIEW)
    store = ReviewDB(review_file(load(made).state))
    row: dict[str, float | str] = {"x": 1.5, "z": "a\x1b[31mred"}
    items = [
        ReviewItem(prediction=f"p{i}", at=AT, key="k", row=row, reason="random", propensity=0.5, window=AT)
        for i in range(2)
    ]
    store.add(items, reached=AT)
    store.close()
    monkeypatch.chdir(made)
    return made


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> Called:
    return call(capsys, monkeypatch, "label", *words)


def data(called: Called, schema: str) -> Any:
    assert called.code == 0, called.err
    found = json.loads(called.out)
    assert found["schema"] == schema
    return found["data"]


@pytest.mark.fault("H9")
def test_items_are_shown_answered_and_counted(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = data(run(capsys, monkeypatch, "next", "--json"), "anew.label.next/1")["item"]
    assert (item["classes"], item["target"]) == ([0, 1], "y")
    shown = run(capsys, monkeypatch, "next")
    assert item["id"] in shown.out
    assert "a\\x1b[31mred" in shown.out, "what a row holds draws nothing on the terminal"
    assert f"anew label answer {item['id']} VALUE" in " ".join(shown.out.split())
    assert run(capsys, monkeypatch, "answer", item["id"], "7").code == 2
    assert run(capsys, monkeypatch, "answer", "f" * 26, "1").code == 4
    said = data(run(capsys, monkeypatch, "answer", item["id"], "1", "--json"), "anew.label.answer/1")
    assert said == {"item": item["id"], "value": 1}
    assert run(capsys, monkeypatch, "answer", item["id"], "0").code == 5
    other = data(run(capsys, monkeypatch, "next", "--json"), "anew.label.next/1")["item"]
    data(run(capsys, monkeypatch, "skip", other["id"], "--json"), "anew.label.skip/1")
    assert data(run(capsys, monkeypatch, "next", "--json"), "anew.label.next/1") == {"item": None}
    assert "nothing to look at" in run(capsys, monkeypatch, "next").out
    status = data(run(capsys, monkeypatch, "status", "--json"), "anew.label.status/1")
    assert status["labellers"] == {f"account:{who_asks()}": {"answered": 1, "skipped": 1, "gold": 0}}
    assert "open        2" in run(capsys, monkeypatch, "status").out


def test_whose_token_it_is_answers(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, role in (("ann", Role.LABELLER), ("app", Role.MACHINE)):
        monkeypatch.setenv(name.upper(), create_token(project, name, role)[0])
    assert run(capsys, monkeypatch, "next", "--token", "env:APP").code == 6
    item = data(run(capsys, monkeypatch, "next", "--token", "env:ANN", "--json"), "anew.label.next/1")["item"]
    assert run(capsys, monkeypatch, "answer", item["id"], "1").code == 4, "it is hers"
    assert run(capsys, monkeypatch, "answer", item["id"], "1", "--token", "env:ANN").code == 0


def test_an_account_of_somebody_is_held_to_that_person_s_role(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(project, NewUser(name="ada", role=Role.APPROVER, without=True, account=who_asks()))
    for words in (("next",), ("answer", "f" * 26, "1"), ("skip", "f" * 26)):
        refused = run(capsys, monkeypatch, *words)
        assert (refused.code, "ada is approver, who may not review here" in refused.err) == (6, True), refused
    set_role(project, "ada", Role.LABELLER)
    item = data(run(capsys, monkeypatch, "next", "--json"), "anew.label.next/1")["item"]
    assert run(capsys, monkeypatch, "answer", item["id"], "1").code == 0
    revoke_access(project, "ada")
    refused = run(capsys, monkeypatch, "next")
    assert (refused.code, "ada was revoked" in refused.err) == (6, True), refused


def test_without_a_policy_it_says_what_to_write(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "anew.yaml").write_text(YAML)
    refused = run(capsys, monkeypatch, "next")
    assert refused.code == 4
    assert "feedback: {review: {per_day: 50}}" in refused.err
