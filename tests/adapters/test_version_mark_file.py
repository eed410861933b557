"""The mark of a worker: what the process after it finds, and what it takes from that."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from anew.adapters.version_mark_file import VersionMarkFile

Story = Callable[[VersionMarkFile], None]


def lived(folder: Path, story: Story, worker: str = "0") -> None:
    """Tell of a process that ended, which lets go of the file."""
    mark = VersionMarkFile(folder, worker)
    story(mark)
    mark.close()


def calls(mark: VersionMarkFile) -> None:
    mark.enter("v1")
    mark.leave()
    mark.enter("v2")


def loads(mark: VersionMarkFile) -> None:
    mark.load("v1")
    mark.load("v2")
    mark.loaded("v1")


def both(mark: VersionMarkFile) -> None:
    mark.load("v2")
    mark.enter("v1")


def asked_to_end(mark: VersionMarkFile) -> None:
    both(mark)
    mark.forget()


def done(mark: VersionMarkFile) -> None:
    calls(mark)
    mark.leave()
    loads(mark)
    mark.loaded("v2")


@pytest.mark.parametrize(("story", "found"), [(calls, (1, 0)), (loads, (0, 1)), (done, (0, 0)), (asked_to_end, (0, 0))])
def test_the_next_process_blames_the_version_in_whose_code_the_last_one_ended(
    tmp_path: Path, story: Story, found: tuple[int, int]
) -> None:
    lived(tmp_path, story)
    after = VersionMarkFile(tmp_path, "0")
    assert (after.ends("v2"), after.ends("v2", loading=True)) == (0, 0), "nobody has said that it ended by itself"
    after.blame()
    assert (after.ends("v2"), after.ends("v2", loading=True)) == found
    assert (after.ends("v1"), after.ends("v1", loading=True)) == (0, 0)


def test_what_is_loaded_beside_an_answer_is_not_to_blame(tmp_path: Path) -> None:
    lived(tmp_path, both)
    after = VersionMarkFile(tmp_path, "0")
    assert after.answered
    after.blame()
    assert (after.ends("v1"), after.ends("v2", loading=True)) == (1, 0)


def test_a_full_disk_loses_the_note_and_not_the_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lived(tmp_path, calls)
    (tmp_path / "ends").mkdir()  # nothing can be written there
    VersionMarkFile(tmp_path, "0").blame()
    assert "end_not_noted worker=0 version=v2" in caplog.text


def test_workers_count_together_and_forget_within_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for worker in ("0", "green0"):
        lived(tmp_path, calls, worker)
        lived(tmp_path, VersionMarkFile.blame, worker)
        lived(tmp_path, VersionMarkFile.blame, worker)  # it was in nobody's code itself
    mark, now = VersionMarkFile(tmp_path, "1"), time.time()
    assert mark.ends("v2") == 2
    for later in (301.0, -3600.0):  # long ago, and by a clock that was ahead
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        assert mark.ends("v2") == 0


def test_a_living_process_keeps_its_mark_for_itself(tmp_path: Path) -> None:
    mark = VersionMarkFile(tmp_path, "0")
    mark.enter("v1")
    with pytest.raises(BlockingIOError):
        VersionMarkFile(tmp_path, "0")
    mark.close()
    lived(tmp_path, VersionMarkFile.blame)
    assert VersionMarkFile(tmp_path, "0").ends("v1") == 1


def test_what_is_no_line_is_left_out_and_old_lines_go(tmp_path: Path) -> None:
    (tmp_path / "ends").write_bytes(
        b"\xff{\nnull\n{}\n" + json.dumps({"at": "x", "version": "v2"}).encode() + b"\n" * 2000
    )
    lived(tmp_path, calls)
    lived(tmp_path, VersionMarkFile.blame)
    assert VersionMarkFile(tmp_path, "0").ends("v2") == 1
    assert (tmp_path / "ends").stat().st_size < 1000
