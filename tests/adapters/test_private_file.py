"""A file of secrets: refused to whom it is not private, followed at every change, and never left about in parts."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.private_file import PrivateFile
from anew.domain.errors import IntegrityError


def _same(plain: Any) -> Any:
    return plain


class Watched(PrivateFile[dict[str, int]]):
    """One that notes what is stored in it after it was made."""

    stores: list[str]

    def __setattr__(self, name: str, value: object) -> None:
        """Note it."""
        self.__dict__.setdefault("stores", []).append(name)
        super().__setattr__(name, value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access" / "secrets.json"


@pytest.fixture
def file(path: Path) -> Watched:
    made = Watched(path, "secrets", read=_same, write=_same, none=dict)
    with made.changing() as held:
        held["a"] = 1
    return made


def test_what_is_changed_is_held_by_whoever_reads_it(file: Watched, path: Path) -> None:
    other = PrivateFile[dict[str, int]](path, "secrets", read=_same, write=_same, none=dict)
    assert file.held() == other.held() == {"a": 1}
    with other.changing() as held:
        held["a"] = 2
    assert file.held() == {"a": 2}
    path.unlink()
    assert file.held() == {}


@pytest.mark.fault("H8")
def test_a_change_is_seen_though_size_and_time_are_those_of_before(file: Watched, path: Path) -> None:
    file.held()
    before = path.stat()
    with path.open("r+") as opened:
        opened.write(json.dumps({"a": 7}, indent=1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert file.held() == {"a": 7}


@pytest.mark.fault("H8")
def test_a_change_is_kept_in_one_store(file: Watched) -> None:
    """Two would let a thread that read the file before keep what it read under the mark of the file of after."""
    file.stores.clear()
    file.held()
    assert file.stores == ["_kept"]
    file.stores.clear()
    assert file.held() == {"a": 1}
    assert file.stores == []


@pytest.mark.fault("H8")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602])
def test_a_file_that_others_may_read_since_is_refused(file: Watched, path: Path, mode: int) -> None:
    assert file.held() == {"a": 1}
    path.chmod(mode)
    for _ in range(2):
        with pytest.raises(IntegrityError, match="chmod 600"):
            file.held()
    with pytest.raises(IntegrityError, match="chmod 600"), file.changing():
        pass
    path.chmod(0o600)
    assert file.held() == {"a": 1}


@pytest.mark.fault("H8")
def test_a_file_of_another_user_is_refused(file: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with pytest.raises(IntegrityError, match=f"another user than the one who runs anew .{own + 1}.*chown {own + 1}"):
        file.held()
    with pytest.raises(IntegrityError, match="another user"), file.changing():
        pass


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("fails", ["fsync", "write"])
def test_a_draft_that_could_not_be_finished_is_left_nowhere(
    file: Watched, path: Path, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: Callable[[Any], Any] = _same if fails == "fsync" else lambda _: object()
    broken = PrivateFile[dict[str, int]](path, "secrets", read=_same, write=plain, none=dict)
    if fails == "fsync":
        monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises((OSError, TypeError)), broken.changing() as held:
        held["a"] = 2
    assert sorted(each.name for each in path.parent.iterdir()) == ["secrets.json", "secrets.lock"]
    assert file.held() == {"a": 1}
