"""What a project keeps of the settings that it began with."""

from pathlib import Path

import pytest

from anew.app.accepted import accept
from anew.app.kept_columns import keep_columns
from anew.app.settings import load
from anew.domain.errors import SettingsError
from tests.app.backup_tree import write_kept
from tests.cli.call import call

FEATURES = "{x: number, z: number}"


def edited(project: Path, *changes: tuple[str, str]) -> Path:
    file = project / "anew.yaml"
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return project


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([(FEATURES, "{x: number, w: category}")], r"\(gone: z; new: w\)"),
        ([(FEATURES, "{x: number, z: category}")], r"\(of another kind: z\)"),
        ([(FEATURES, "{z: number, x: number}")], r"\(their order\)"),
        ([(FEATURES, FEATURES + "\n  sensitive: [sex]")], r"\(new: sensitive columns\)"),
        ([("task: binary", "task: regression"), ("  classes: [0, 1]\n", "")], r"\(of another kind: the label\)"),
        ([("model: small", "model: large")], "called large, and this project began as small"),
    ],
)
def test_other_columns_are_named(tmp_path: Path, changes: list[tuple[str, str]], said: str) -> None:
    project = write_kept(tmp_path)
    begun = load(project)
    keep_columns(load(edited(project, ("target: y", "target: outcome"))), begun)
    with pytest.raises(SettingsError, match=said):
        keep_columns(load(edited(project, *changes)), begun)


def test_validate_says_so_once_something_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_kept(tmp_path)
    accept(load(project))
    edited(project, (FEATURES, "{x: number, w: number}"))
    said = call(capsys, monkeypatch, "validate", project)
    assert said.code == 2
    assert "gone: z; new: w" in said.err
    (project / ".anew" / "lake.db").unlink()  # brought up, and refused before anything was stored
    assert call(capsys, monkeypatch, "validate", project).code == 0
