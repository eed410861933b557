"""`anew model card`: printed, written, held against a version, and 3 while people have not said what only they know."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.small_project import YAML
from tests.app.test_gate_check import project  # noqa: F401  a project with two stored versions
from tests.cli.call import Called, call

Run = Callable[..., Called]
WORDS = "Scores card payments for the fraud team, who look at each one that is flagged, within a day."


@pytest.fixture
def run(
    project: Path,  # noqa: F811  the fixture
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run `anew model card` in the project, whose policy asks for one section and where nobody has written any."""
    (project / "anew.yaml").write_text(f"{YAML}validate: [model_card: {{sections: [Intended uses]}}, slos: {{}}]\n")
    (project / "model_card.md").unlink(missing_ok=True)
    return lambda *words: call(capsys, monkeypatch, "model", "card", *words, "--project", project)


def test_a_card_is_whole_once_people_have_written_their_part(run: Run, tmp_path: Path) -> None:
    missing = run("v1")
    assert (missing.code, "Intended uses" in missing.err) == (3, True)
    assert missing.out.startswith("---\n")
    assert "# Model card of small v1" in missing.out
    words = tmp_path / "words.txt"
    words.write_text(WORDS)
    assert run("v1", "--section", "Intended uses", "--text", words).code == 0
    whole = run("v1", "--json")
    assert whole.code == 0
    data = json.loads(whole.out)["data"]
    assert (data["version"], data["missing"], data["differences"]) == ("v1", [], [])
    assert WORDS in data["card"]
    assert data["digest"] in data["card"]


def test_a_card_that_was_written_is_known_again_and_no_other_version_s(run: Run, tmp_path: Path) -> None:
    words, card = tmp_path / "words.txt", tmp_path / "card.md"
    words.write_text(WORDS)
    assert run("v1", "--section", "Intended uses", "--text", words, "--to", card).code == 0
    same = run("v1", "--check", card)
    assert (same.code, same.out, same.err) == (0, "", "")
    others = run("v2", "--check", card)
    assert (others.code, "it is the card of" in others.err) == (3, True)
    card.write_text(card.read_text().replace("error:", "error: 0  #", 1).replace("rows", "cows"))
    changed = run("v1", "--check", card, "--json")
    assert changed.code == 3
    assert json.loads(changed.out)["data"]["differences"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("v9",), 4, "there is no version 'v9'"),
        (("v1", "--section", "Intended uses"), 2, "--section and --text go together"),
    ],
)
def test_what_cannot_be_is_said(run: Run, words: tuple[str, ...], code: int, said: str) -> None:
    told = run(*words)
    assert (told.code, said in told.err) == (code, True), told


@pytest.mark.parametrize("option", ["--check", "--text"])
def test_a_file_that_is_not_there_is_said(run: Run, option: str, tmp_path: Path) -> None:
    more = ("--section", "Intended uses") if option == "--text" else ()
    told = run("v1", *more, option, tmp_path / "none.md")
    assert told.code not in (0, 3), told
    assert "none.md" in told.err
    assert "Traceback" not in told.err
