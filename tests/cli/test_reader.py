"""Whoever reads what a command prints may have enough of it, as `head` does."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anew.cli._exit import exits
from tests.cli.recorded import write_record


@pytest.mark.parametrize("verb", [["status"], ["status", "--json"], ["audit", "show"]])
def test_a_reader_that_leaves_ends_a_command_without_a_word(tmp_path: Path, verb: list[str]) -> None:
    project = write_record(tmp_path / "p")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        command = [sys.executable, "-m", "anew.cli", *verb, str(project)]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_pipe_that_breaks_elsewhere_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exits():
        raise BrokenPipeError(32, "Broken pipe")
    assert ended.value.code == 1
    assert "Broken pipe" in capsys.readouterr().err


def test_a_full_disk_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exits():
        raise OSError(errno.ENOSPC, "No space left on device", "tokens.json")
    assert ended.value.code == 7
    said = capsys.readouterr().err
    assert "tokens.json" in said
    assert "make room" in said


@pytest.mark.parametrize(
    ("owner", "raised", "said"),
    [
        (os.geteuid() + 1, PermissionError(errno.EACCES, "Permission denied"), "belongs to user {owner}: run this as"),
        (os.geteuid(), PermissionError(errno.EACCES, "Permission denied"), "is yours, and its mode keeps you out"),
        (os.geteuid(), OSError(errno.EROFS, "Read-only file system"), "is mounted read-only"),
    ],
)
def test_what_may_not_be_read_or_written_is_said_with_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    owner: int,
    raised: OSError,
    said: str,
) -> None:
    uid = os.geteuid()
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "geteuid", lambda: uid + uid - owner)  # the file is ours, so we are somebody else
    raised.filename = str(tmp_path / "gone" / "record.json")
    with pytest.raises(SystemExit) as ended, exits():
        raise raised
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "record.json" in told
    assert said.format(owner=uid) in told


@pytest.mark.parametrize(
    ("raised", "stranger"),
    [
        (PermissionError(errno.EPERM, "Operation not permitted", "/"), True),  # no hard links there, immutable …
        (PermissionError(errno.EACCES, "Permission denied", "/"), False),  # of what is open to us: an ACL, say
    ],
)
def test_what_is_no_matter_of_modes_is_not_told_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: OSError, *, stranger: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: Path("/").stat().st_uid + stranger)
    monkeypatch.setattr(os, "access", lambda *_: True)
    with pytest.raises(SystemExit), exits():
        raise raised
    assert capsys.readouterr().err == f"anew: {raised}\n"
