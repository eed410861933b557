"""A cursor in a file of its own, replaced as a whole."""

import os
from pathlib import Path

from anew.domain.errors import IntegrityError

__all__ = ["CursorFile"]


class CursorFile:
    """One number in `path`; see `anew.ports.sink.Cursor`. One process moves it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """Return the number, 0 when there is no file; raises IntegrityError when the file holds none."""
        try:
            return int(self._path.read_text("ascii"))
        except FileNotFoundError:
            return 0
        except ValueError as exc:
            raise IntegrityError(f"{self._path} holds no number; delete it to have every fact told again") from exc

    def moved_at(self) -> float:
        """Return when the number was replaced last, in Unix time; 0 for never."""
        try:
            return self._path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def move(self, seq: int) -> None:
        """Replace the number."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".part")
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{seq}\n".encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(self._path)
