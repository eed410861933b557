"""`anew lineage`: of a version and of a fact, as text, JSON and a picture."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.call import Called, call
from tests.cli.recorded import write_record

Run = Callable[..., Called]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, "lineage", *arguments)


def test_a_version_in_words_in_json_and_as_a_picture(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    said = run("v1", "--project", project, "--svg", tmp_path / "v1.svg")
    assert (said.code, said.err) == (0, "")
    for words in ("retrain commanded", "by: ann", "v1 planned", "snapshot 555555555555", "slos: PASS", "traffic: all"):
        assert words in said.out
    assert (tmp_path / "v1.svg").read_text().startswith("<svg ")
    data = json.loads(run("v1", "--project", project, "--json").out)["data"]
    kinds = {node["kind"] for node in data["nodes"]}
    assert {"cause", "plan", "data", "code", "version", "verdict", "traffic", "outcome"} <= kinds
    command = next(node for node in data["nodes"] if node["label"].startswith("retrain commanded"))
    of_fact = json.loads(run(command["id"], "--project", project, "--json").out)["data"]
    assert (of_fact["nodes"], of_fact["edges"]) == (data["nodes"], data["edges"])


@pytest.mark.parametrize("subject", ["v9", "0" * 26])
def test_what_is_not_on_record_is_not_found(run: Run, tmp_path: Path, subject: str) -> None:
    refused = run(subject, "--project", write_record(tmp_path / "small"))
    assert refused.code == 4
    assert subject in refused.err


def test_a_prediction_that_is_not_stored_may_have_been_erased(run: Run, tmp_path: Path) -> None:
    refused = run("019b96342b407ed288384fb943f3a621", "--project", write_record(tmp_path / "p"))
    assert refused.code == 4
    said = " ".join(refused.err.split())
    assert "may not be drained yet" in said
    assert "erased (anew data purge) or are older than data.keep" in said
