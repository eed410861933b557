"""The mark of a gateway worker: a few bytes that its successor finds as they were when it ended."""

import fcntl
import json
import logging
import mmap
import os
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["VersionMarkFile"]

_LOG = logging.getLogger("anew.gateway")
_PART = 128
_CALL, _LOAD = 0, _PART
_ENDS = "ends"
_WITHIN_S = 300.0
_MOST_LINES, _KEPT_LINES = 1000, 100
_ANSWERING, _LOADING = "answering", "loading"


class VersionMarkFile:
    """Keeps the mark of the worker called `worker` in `folder`, and with the other workers what marks were found.

    Two parts of a file that stays mapped: a byte that says whether the process is in a version's code, and its name,
    for calls and for loads. Who follows on one that ended so by itself adds a line to the file ``ends``.

    Raises
    ------
    OSError
        The file cannot be kept, or a living process has it.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ends = folder / _ENDS
        self._file = os.open(folder / f"{worker}.mark", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left = os.pread(self._file, 2 * _PART, 0)
            os.pwrite(self._file, bytes(2 * _PART), 0)  # written, not mapped: a full disk is an error here, no signal
            os.fsync(self._file)
            self._map = mmap.mmap(self._file, 2 * _PART)
        except BaseException:
            os.close(self._file)
            raise
        self._worker, self._left, self._called = worker, left, ""

    def close(self) -> None:
        """Let go of the file, as the end of the process does; what it says stays."""
        self._map.close()
        os.close(self._file)

    def enter(self, version: str) -> None:
        """Say that an answer of `version` is asked for."""
        if version is not self._called:
            self._name(_CALL, version)
            self._called = version
        self._map[_CALL] = 1

    def leave(self) -> None:
        """Say that it has been given, or refused."""
        self._map[_CALL] = 0

    def load(self, version: str) -> None:
        """Say that `version` is being loaded."""
        self._map[_LOAD] = 0
        self._name(_LOAD, version)
        self._map[_LOAD] = 1

    def loaded(self, version: str) -> None:
        """Say that it is not any more; of several at once, the last to begin counts."""
        if self._map[_LOAD + 1 : _LOAD + _PART] == _padded(version):
            self._map[_LOAD] = 0

    @property
    def answered(self) -> bool:
        """Did the process before this one end while an answer was asked for?"""
        return self._left[_CALL : _CALL + 1] == b"\x01"

    def blame(self) -> None:
        """Hold it against the version in whose code the process before this one was that it ended by itself.

        Where it answered, what it loaded beside that is not to blame. What a full disk does not take is logged.
        """
        part, doing = (_CALL, _ANSWERING) if self.answered else (_LOAD, _LOADING)
        if self._left[part : part + 1] == b"\x01":
            version = self._left[part + 1 : part + _PART].rstrip(b"\0").decode(errors="replace")
            try:
                self._note(version, doing)
            except OSError as exc:
                _LOG.warning("end_not_noted worker=%s version=%s problem=%s", self._worker, version, exc)

    def forget(self) -> None:
        """Say that this process ends because it was asked to."""
        self._map[_CALL] = self._map[_LOAD] = 0

    def ends(self, version: str, *, loading: bool = False) -> int:
        """Return how many workers ended within five minutes while it answered, or was loaded, as any of them found."""
        now, found, wanted = time.time(), 0, _LOADING if loading else _ANSWERING
        for line in self._lines():
            with suppress(ValueError, KeyError, TypeError):
                said = json.loads(line)
                found += (said["version"], said["doing"]) == (version, wanted) and 0 <= now - said["at"] <= _WITHIN_S
        return found

    def _name(self, part: int, version: str) -> None:
        self._map[part + 1 : part + _PART] = _padded(version)

    def _note(self, version: str, doing: str) -> None:
        _LOG.error("worker_ended_in_a_version worker=%s version=%s while=%s", self._worker, version, doing)
        line = json.dumps({"at": time.time(), "version": version, "doing": doing, "worker": self._worker})
        lines = self._lines()
        if len(lines) >= _MOST_LINES:
            self._ends.write_text("\n".join(lines[-_KEPT_LINES:]) + "\n", "utf-8")
        with self._ends.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _lines(self) -> list[str]:
        try:
            return self._ends.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return []


def _padded(version: str) -> bytes:
    return version.encode()[: _PART - 1].ljust(_PART - 1, b"\0")
