"""What a folder is checked out at, by a real Git: its commit, changes in no commit, an address without secrets."""

import os
import subprocess
from pathlib import Path

import pytest

from anew.adapters.git_revision import code_revision
from anew.ports.code import CodeRevision

FILES = ("pipeline.py", "anew.yaml")


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(folder: Path, *words: str) -> str:
    named = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    return subprocess.run(
        ["git", *named, *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "project"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text("1\n")
    git(folder.parent, "init", "-q")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-qm", "first")
    return folder


def test_a_clean_folder_has_its_commit(project: Path) -> None:
    (project / "history.parquet").write_text("data beside it is no change of the code")
    (project.parent / "elsewhere.py").write_text("nor is what is outside the folder")
    assert code_revision(project, FILES) == CodeRevision(commit=git(project, "rev-parse", "HEAD"))


def test_a_change_that_is_in_no_commit_is_seen_and_a_commit_ends_it(project: Path) -> None:
    (project / "pipeline.py").write_text("2\n")
    assert code_revision(project, FILES).dirty
    git(project, "add", ".")
    assert code_revision(project, FILES).dirty, "added, it is in no commit yet"
    git(project, "commit", "-qm", "second")
    found = code_revision(project, FILES)
    assert (found.commit, found.dirty) == (git(project, "rev-parse", "HEAD"), False)


def test_a_file_that_git_does_not_know_is_a_change(project: Path) -> None:
    assert code_revision(project, (*FILES, "other.py")).dirty


def test_where_no_git_is_nothing_is_known(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_revision(tmp_path, FILES) == CodeRevision()
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    assert code_revision(empty, FILES) == CodeRevision()
    assert code_revision(tmp_path / "gone", FILES) == CodeRevision()
    monkeypatch.setenv("PATH", str(empty))
    assert code_revision(project, FILES) == CodeRevision()


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://ann:s3cret@example.org/team/models.git?token=s3cret", "https://example.org/team/models.git"),
        ("ssh://git@example.org:22/team/models.git", "ssh://example.org:22/team/models.git"),
        ("git@example.org:team/models.git", "ssh://git@example.org/team/models.git"),
        ("/somewhere/models.git", ""),
        ("ext::sh -c s3cret", ""),
    ],
)
def test_the_address_of_the_repository_holds_no_secret(project: Path, url: str, told: str) -> None:
    git(project, "remote", "add", "origin", url)
    assert code_revision(project, FILES).repository == told
