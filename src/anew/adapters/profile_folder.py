"""Profiles of windows as small files, a folder for each version."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anew.domain.errors import UnavailableError
from anew.domain.interval import Interval

__all__ = ["ProfileFolder"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_ROWS = 16
"""Digits of the address of the rows that a file's name holds."""


class ProfileFolder:
    """See `anew.ports.profile.ProfileStore`. A file is written beside its name and renamed: it is whole or not there.

    It is not synced: a profile that a power cut took is counted again from the lake.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, digest: str, window: Interval, rows: str, packed: bytes) -> None:
        """Write the file."""
        path = self._path(digest, window, rows)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(packed)
            draft.replace(path)
        except OSError as exc:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise UnavailableError(f"the profile of a window cannot be written to {path}: {exc.strerror}") from exc

    def get(self, digest: str, window: Interval, rows: str) -> bytes | None:
        """Read the file; one that cannot be read is as good as none, since its rows can be counted again."""
        try:
            return self._path(digest, window, rows).read_bytes()
        except OSError:
            return None

    def within(self, digest: str, span: Interval) -> Iterator[tuple[Interval, bytes]]:
        """Read the files of the windows in `span`."""
        found = sorted((_window(path), path) for path in (self._root / digest).glob("[!.]*.profile"))
        for (start, end), path in found:
            window = Interval(start=start, end=end)
            if span.start <= window.start and window.end <= span.end:
                yield window, path.read_bytes()

    def _path(self, digest: str, window: Interval, rows: str) -> Path:
        start, end = ((instant - _EPOCH) // _MICRO for instant in (window.start, window.end))
        return self._root / digest / f"{start}_{end}_{rows[:_ROWS]}.profile"


def _window(path: Path) -> tuple[datetime, datetime]:
    start, end, _ = path.stem.split("_")
    return _EPOCH + int(start) * _MICRO, _EPOCH + int(end) * _MICRO
