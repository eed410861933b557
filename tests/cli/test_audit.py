"""`anew audit`: what verifies, what does not, and what leaves the folder."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from anew.adapters.signing import Signer
from anew.app.migrate import go_back
from anew.app.settings import load
from anew.domain.facts import RollbackCommanded
from tests.cli.call import Called, call
from tests.cli.recorded import AT, record, write_record

Run = Callable[..., Called]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, "audit", *arguments)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = write_record(tmp_path / "small")
    Signer.load_or_create(made / ".anew" / "keys")
    return made


def edit(project: Path, statement: str) -> None:
    with closing(sqlite3.connect(project / ".anew" / "anew.db")) as connection, connection:
        connection.execute(statement)


def test_a_whole_record_verifies_and_its_facts_are_told(run: Run, project: Path) -> None:
    verified = json.loads(run("verify", project, "--json").out)["data"]
    shown = json.loads(run("show", project, "--json").out)["data"]["facts"]
    assert verified["facts"] == len(shown) > 10
    command = next(fact for fact in shown if fact["kind"] == "RetrainCommanded")
    assert (command["by"], command["said"]) == ("ann", "retrain asked for by ann: to begin")
    assert "facts verified" in run("verify", project).out


def test_show_takes_a_number_and_kinds(run: Run, project: Path) -> None:
    shown = json.loads(run("show", project, "--after", 3, "--kind", "VersionPromoted", "--json").out)["data"]["facts"]
    assert [fact["kind"] for fact in shown] == ["VersionPromoted"]
    assert shown[0]["seq"] > 3
    missing = run("show", project, "--kind", "Nonsense")
    assert missing.code == 4
    assert "no fact called Nonsense" in missing.err


HOSTILE = [
    "x\n     9  2026-01-01T00:00:00  VersionPromoted     v9 promoted", "x\r\nforged", "x\u2028forged", "x\x85forged",
    "\x1b[2Jgone", "\x1b]0;title\x07", "\x9b31mred", '"}\n{"kind": "VersionPromoted"}', "\u202etxet", "x\x00y",
]  # fmt: skip


@pytest.mark.fault("H9")
@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_people_wrote_a_fact_is_one_line_and_draws_nothing(
    run: Run, project: Path, tmp_path: Path, text: str
) -> None:
    before = len(run("show", project).out.splitlines())
    record(project, RollbackCommanded(model="small", at=AT, command="c", by="ann", reason=text))
    shown = run("show", project).out
    assert len(shown.splitlines()) == before + 1
    assert "ann" in shown.splitlines()[-1]
    assert not [sign for sign in shown if sign != "\n" and not sign.isprintable()], repr(shown.splitlines()[-1])
    assert run("verify", project).code == 0
    assert run("export", project, "--to", tmp_path / "out.jsonl").code == 0
    lines = (tmp_path / "out.jsonl").read_bytes().split(b"\n")
    facts = [json.loads(line) for line in lines if line]
    assert any(_has(fact, text) for fact in facts), "it is kept as it was"
    assert len(facts) == before + 2, "a fact a line, and the head"


def _has(told: object, text: str) -> bool:
    """Say whether a text stands anywhere in what was told, as it was."""
    if isinstance(told, dict):
        return any(_has(each, text) for each in told.values())
    if isinstance(told, list):
        return any(_has(each, text) for each in told)
    return told == text


@pytest.mark.fault("H9")
def test_control_printed_as_they_are_these_texts_forge_lines_and_steer_terminals() -> None:
    assert all(len(text.splitlines()) > 1 or not text.isprintable() for text in HOSTILE)


@pytest.mark.fault("A10")
def test_an_altered_row_is_named(run: Run, project: Path) -> None:
    edit(project, "UPDATE fact SET body = replace(body, 'ann', 'eve') WHERE kind = 'RetrainCommanded'")
    refused = run("verify", project)
    assert refused.code == 1
    assert "fact 1 " in refused.err


@pytest.mark.fault("A10")
def test_a_cut_tail_is_found_by_an_exported_head(run: Run, project: Path, tmp_path: Path) -> None:
    (tmp_path / "head").write_text(run("head", project).out)
    (tmp_path / "head.json").write_text(run("head", project, "--json").out)
    assert run("export", project, "--to", tmp_path / "all.jsonl").code == 0
    edit(project, "DELETE FROM fact WHERE seq > 5")
    assert run("verify", project).code == 0  # nothing in the folder can tell
    for kept in ("head", "head.json", "all.jsonl"):
        refused = run("verify", project, "--head", tmp_path / kept)
        assert refused.code == 1
        assert "ends at fact 5" in refused.err


@pytest.mark.fault("A10")
def test_a_head_that_somebody_else_made_is_refused(run: Run, project: Path, tmp_path: Path) -> None:
    head = json.loads(run("head", project).out)
    edit(project, "DELETE FROM fact WHERE seq > 5")
    (tmp_path / "head").write_text(json.dumps(head | {"seq": 5}))
    refused = run("verify", project, "--head", tmp_path / "head")
    assert refused.code == 1
    assert "signature" in refused.err
    (tmp_path / "head").write_text("nothing\n")
    assert run("verify", project, "--head", tmp_path / "head").code == 2


def test_an_audit_leaves_the_tables_as_they_are(run: Run, project: Path, tmp_path: Path) -> None:
    go_back(load(project), "0001")
    for verb in (["verify", project], ["head", project], ["export", project, "--to", tmp_path / "out.jsonl"]):
        assert run(*verb).code == 0
        with closing(sqlite3.connect(project / ".anew" / "anew.db")) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)


@pytest.mark.parametrize("verb", [["audit", "verify"], ["audit", "show"], ["status"]])
def test_a_copy_that_nobody_can_write_is_audited(project: Path, verb: list[str]) -> None:
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount, project, "true"], check=False).returncode:
        pytest.skip("needs the right to mount a folder read-only")
    with closing(sqlite3.connect(project / ".anew" / "anew.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    command = [sys.executable, "-m", "anew.cli", *verb, str(project)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, project, *command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_export_is_whole_and_never_written_over(run: Run, project: Path, tmp_path: Path) -> None:
    to = tmp_path / "audit.jsonl"
    said = json.loads(run("export", project, "--to", to, "--json").out)["data"]
    *facts, head = map(json.loads, to.read_text().splitlines())
    assert [fact["seq"] for fact in facts] == list(range(1, said["seq"] + 1))
    assert {key: head[key] for key in ("seq", "hash", "signature")} == {key: said[key] for key in head if key in said}
    assert run("export", project, "--to", to).code == 5


@pytest.fixture
def exported(run: Run, project: Path, tmp_path: Path) -> Path:
    """What an auditor has: an export, and the public key beside it."""
    to = tmp_path / "audit.jsonl"
    assert run("export", project, "--to", to).code == 0
    shutil.copy(project / ".anew" / "keys" / "signing.pub", tmp_path / "signing.pub")
    return to


def test_an_export_verifies_without_its_project(run: Run, project: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "head").write_text(run("head", project).out)
    known = json.loads(run("verify", project, "--json").out)["data"]
    shutil.rmtree(project)
    key = tmp_path / "signing.pub"
    said = run("verify", "--export", exported, "--key", key, "--head", tmp_path / "head")
    assert said.code == 0, said
    assert f"{known['facts']} facts in {exported} verified" in said.out
    told = json.loads(run("verify", "--export", exported, "--key", key, "--json").out)["data"]
    assert told == known | {"export": str(exported)}
    Signer.load_or_create(tmp_path / "other")
    refused = run("verify", "--export", exported, "--key", tmp_path / "other" / "signing.pub")
    assert refused.code == 1
    assert "signature" in refused.err


def halves(line: bytes) -> bytes:
    return line[: len(line) // 2]


ALTERED: Mapping[str, Callable[[list[bytes]], list[bytes]]] = {
    "a word everywhere": lambda lines: [line.replace(b"to begin", b"to go on") for line in lines],
    "what is said of it alone": lambda lines: [
        line.replace(b'"said": "retrain', b'"said": "Retrain') for line in lines
    ],
    "a fact is gone": lambda lines: [*lines[:3], *lines[4:]],
    "two changed places": lambda lines: [lines[1], lines[0], *lines[2:]],
    "a fact twice": lambda lines: [lines[0], *lines],
    "the end is gone": lambda lines: lines[:-1],
    "a fact after the head": lambda lines: [*lines, lines[0]],
    "a line is half": lambda lines: [halves(lines[0]), *lines[1:]],
    "an earlier end": lambda lines: [*lines[:5], lines[-1]],
    "the seal is gone": lambda lines: [*lines[:-1], re.sub(rb', "lines".*}', b"}", lines[-1])],
    "something else": lambda lines: [b"[1]", *lines],
    "an empty line after a changed first": lambda lines: [lines[0].replace(b"ann", b"bob"), b"", *lines[1:]],
    "another signature of the head": lambda lines: [
        *lines[:-1],
        re.sub(rb'"signature": "....', b'"signature": "0000', lines[-1]),
    ],
    "nothing": lambda _: [],
}


@pytest.mark.fault("A10")
@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_export_is_refused(run: Run, project: Path, exported: Path, tmp_path: Path, how: str) -> None:
    before = exported.read_bytes()
    exported.write_bytes(b"".join(line + b"\n" for line in ALTERED[how](before.splitlines())))
    assert exported.read_bytes() != before
    refused = run("verify", "--export", exported, "--key", tmp_path / "signing.pub")
    assert refused.code == 1, refused
    assert str(exported) in refused.err
    assert "Traceback" not in refused.err
    assert run("verify", project, "--head", exported).code in (1, 2)


def test_an_export_of_before_says_how_its_head_is_taken(run: Run, project: Path, exported: Path) -> None:
    added = ("schema", "body", "hash")
    *facts, head = map(json.loads, exported.read_text().splitlines())
    plain = [{key: value for key, value in fact.items() if key not in added} for fact in facts]
    exported.write_text("".join(f"{json.dumps(each)}\n" for each in [*plain, head]))
    refused = run("verify", project, "--export", exported)
    assert refused.code == 1
    assert "older anew" in refused.err
    assert "tail -n 1" in refused.err


def test_an_export_says_where_the_record_became_another(
    run: Run, project: Path, exported: Path, tmp_path: Path
) -> None:
    head = json.loads(run("head", project).out)
    signer = Signer.load(project / ".anew" / "keys")
    other = {"seq": 3, "hash": "0" * 64}
    signature = signer.sign(f"anew.audit.head/1\n{other['seq']}\n{other['hash']}\n".encode())
    (tmp_path / "head").write_text(json.dumps(head | other | {"signature": signature}))
    refused = run("verify", project, "--export", exported, "--head", tmp_path / "head")
    assert refused.code == 1
    assert "at fact 3" in refused.err


def test_a_project_that_never_ran_has_no_record(run: Run, tmp_path: Path) -> None:
    for verb in (["verify", tmp_path], ["head", tmp_path], ["export", tmp_path, "--to", tmp_path / "out.jsonl"]):
        refused = run(*verb)
        assert refused.code == 4
        assert "never brought up" in refused.err


@pytest.mark.parametrize("verb", ["verify", "show", "head"])
def test_the_project_may_be_named_as_other_verbs_take_it(run: Run, project: Path, tmp_path: Path, verb: str) -> None:
    named = run(verb, "--project", project)
    assert named.code == 0, named
    assert named == run(verb, project)
    assert run(verb, "--project", tmp_path / "nowhere").code == 4
