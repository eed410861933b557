"""A disk that fails on order: full, broken syncs, and power that goes away with whatever was not synced."""

import errno
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["FaultyDisk", "PowerLoss"]

_SECTOR = 512


class PowerLoss(BaseException):
    """The machine has lost power; no Exception, so that nobody catches it and goes on."""


@dataclass(slots=True)
class FaultyDisk:
    """A `Disk` on real files that also knows what of them would survive.

    Not thread-safe beyond what its caller serialises; write, sync and the like are counted as operations.

    Attributes
    ----------
    power_ends_at
        The operation (from 1) at which PowerLoss is raised; a write is then done in part, a sync not at all.
    capacity
        Bytes that all files together may hold; a write beyond it is done in part and raises ENOSPC.
    fails
        Names of operations with the errno that they raise, as long as they are listed.
    lies
        Syncs return and sync nothing: the negative control of every durability test.
    operations
        How many were done.
    """

    power_ends_at: int = 0
    capacity: int | None = None
    fails: dict[str, int] = field(default_factory=dict)
    lies: bool = False
    operations: int = 0
    _paths: dict[int, Path] = field(default_factory=dict)
    _synced: dict[Path, bytes] = field(default_factory=dict)
    _named: dict[Path, dict[str, Path]] = field(default_factory=dict)
    _gone: dict[Path, bytes] = field(default_factory=dict)

    def create(self, path: Path) -> int:
        """Create a file; its name is not durable before `sync_folder`."""
        self._operation("create")
        return self._open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR)

    def open(self, path: Path) -> int:
        """Open a file."""
        self._operation("open")
        return self._open(path, os.O_RDWR)

    def read(self, descriptor: int, offset: int, most: int | None = None) -> bytes:
        """Read what the page cache has, synced or not."""
        return self._paths[descriptor].read_bytes()[offset : None if most is None else offset + most]

    def write(self, descriptor: int, data: bytes, at: int) -> int:
        """Write, up to the capacity; what is written over takes no room."""
        room = len(data)
        if self.capacity is not None:
            over = max(0, os.fstat(descriptor).st_size - at)
            room = min(room, over + max(0, self.capacity - self._held()))
        if self._ends():
            room = min(room, len(data) // 2)
        written = os.pwrite(descriptor, data[:room], at) if room else 0
        self._operation("write")
        if written < len(data):
            raise OSError(errno.ENOSPC, "no space left (ordered)")
        return written

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut; the cut is not durable before a sync."""
        self._operation("truncate")
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Make the present bytes durable, unless told to lie."""
        self._operation("sync")
        if not self.lies:
            path = self._paths[descriptor]
            self._synced[path] = path.read_bytes()

    def sync_folder(self, folder: Path) -> None:
        """Make the present names durable, unless told to lie."""
        self._operation("sync_folder")
        if not self.lies:
            self._named[folder] = {path.name: path for path in folder.iterdir() if path.is_file()}

    def close(self, descriptor: int) -> None:
        """Close; never fails, for a lost machine closes everything."""
        self._paths.pop(descriptor, None)
        os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Rename; both names hang in the balance until `sync_folder`."""
        self._operation("replace")
        source.replace(target)
        self._synced[target] = self._synced.pop(source, b"")

    def remove(self, path: Path) -> None:
        """Delete; the name may come back until `sync_folder`."""
        self._operation("remove")
        if path.exists():
            self._gone[path] = self._synced.pop(path, b"")
            path.unlink()

    def shut(self) -> None:
        """Close every descriptor that the lost program left open."""
        for descriptor in list(self._paths):
            self.close(descriptor)

    def survivors(self, folder: Path, chance: random.Random) -> Mapping[str, bytes]:
        """Return the files of `folder` as the next start finds them: chance settles what was not synced."""
        named = self._named.get(folder, {})
        found: dict[str, bytes] = {}
        for path in folder.iterdir():
            if path.is_file() and (path.name in named or chance.random() < 0.5):
                found[path.name] = self._survives(path, chance)
        for name, path in named.items():
            if name not in found and path in self._gone and chance.random() < 0.5:
                found[name] = self._gone[path]
        return found

    def _survives(self, path: Path, chance: random.Random) -> bytes:
        """Return what was synced and some of what was written later, behind and over it: cut anywhere, sectors lost."""
        synced, present = self._synced.get(path, b""), path.read_bytes()
        size = chance.randint(len(synced), max(len(synced), len(present)))
        before, after = synced.ljust(size, b"\0"), (present + synced[len(present) :])[:size]
        parts = [(before[at : at + _SECTOR], after[at : at + _SECTOR]) for at in range(0, size, _SECTOR)]
        return b"".join(old if old != new and chance.random() < 0.3 else new for old, new in parts)

    def _held(self) -> int:
        folders = {path.parent for path in self._paths.values()}
        return sum(path.stat().st_size for folder in folders for path in folder.iterdir() if path.is_file())

    def _open(self, path: Path, flags: int) -> int:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self._paths[descriptor] = path
        return descriptor

    def _ends(self) -> bool:
        return bool(self.power_ends_at) and self.operations + 1 >= self.power_ends_at

    def _operation(self, name: str) -> None:
        if self._ends():
            raise PowerLoss(name)
        self.operations += 1
        if name in self.fails:
            raise OSError(self.fails[name], f"{name} failed (ordered)")
