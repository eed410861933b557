"""The disk of this machine."""

import os
from pathlib import Path

__all__ = ["LocalDisk"]


class LocalDisk:
    """The operating system's own files; see `anew.ports.disk.Disk`. Stateless."""

    def create(self, path: Path) -> int:
        """Create a file with O_EXCL and mode 0600."""
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def open(self, path: Path) -> int:
        """Open for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def read(self, descriptor: int, offset: int, most: int | None = None) -> bytes:
        """Read to the present end, or `most` bytes."""
        size = os.fstat(descriptor).st_size
        if most is not None:
            size = min(size, offset + most)
        parts: list[bytes] = []
        while offset < size and (part := os.pread(descriptor, size - offset, offset)):
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def write(self, descriptor: int, data: bytes, at: int) -> int:
        """Write as much as the system takes in one call."""
        return os.pwrite(descriptor, data, at)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Sync bytes and length (fdatasync)."""
        os.fdatasync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Sync the folder itself (fsync)."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        """Close."""
        os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Rename over."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Unlink; a missing file is fine."""
        path.unlink(missing_ok=True)
