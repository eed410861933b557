"""The few file operations that durability rests on."""

from pathlib import Path
from typing import Protocol

__all__ = ["Disk"]


class Disk(Protocol):
    """A local disk. Thread-safe; every method raises OSError as the system does."""

    def create(self, path: Path) -> int:
        """Create a file that is not there yet, for writing, readable by its owner alone; returns the descriptor."""
        ...

    def open(self, path: Path) -> int:
        """Open a file that is there, for reading, writing and cutting."""
        ...

    def read(self, descriptor: int, offset: int, most: int | None = None) -> bytes:
        """Read from `offset` to the present end of the file, `most` bytes at most."""
        ...

    def write(self, descriptor: int, data: bytes, at: int) -> int:
        """Write some of `data` from the offset `at` on; returns how many bytes, which may be fewer than asked."""
        ...

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def sync(self, descriptor: int) -> None:
        """Bring the file's bytes and its length onto the medium."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Bring the names in `folder` onto the medium."""
        ...

    def close(self, descriptor: int) -> None:
        """Close the file; it is not synced."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Rename `source` to `target` at once, over what is there."""
        ...

    def remove(self, path: Path) -> None:
        """Delete a file; without effect when it is gone."""
        ...
