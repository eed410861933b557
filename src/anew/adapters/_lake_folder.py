"""Where the files of a Delta table lie: what is asked of a folder, and the one on this machine's disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from anew.domain.errors import UnavailableError
from anew.ports.disk import Disk

__all__ = ["LakeFolder", "LocalFolder", "Stamp"]

Stamp = tuple[int | str, ...]
"""Changes when a file does."""


class LakeFolder(Protocol):
    """A folder of files. Names are relative, with ``/``. Raises UnavailableError when it does not answer."""

    @property
    def url(self) -> str:
        """What deltalake and people call it."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """What deltalake has to be told to open it."""
        ...

    def prepare(self) -> None:
        """See that the folder is there, durably."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None when it is missing."""
        ...

    def names(self, under: str = "") -> Sequence[str]:
        """Return the names of the files right in the folder, or in `under`, without it, in order."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Write a file in one step, over what is there; durable on return."""
        ...

    def sync(self, name: str) -> None:
        """Make durable what another library wrote."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file; without effect when it is gone."""
        ...

    def set_aside(self, name: str) -> None:
        """Move a file out of the table's sight, to be looked at by people."""
        ...

    def local(self, name: str, stored: bytes | None = None) -> Path:
        """Return a path to read a file from; `stored` are its bytes, when they were read already."""
        ...

    def stamp(self, name: str) -> Stamp | None:
        """Return the stamp of what `local` gives; None when there is nothing."""
        ...


class LocalFolder:
    """A folder on the disk; deltalake writes files without syncing them, hence `sync`."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._disk = disk

    def __str__(self) -> str:
        """Return its path."""
        return str(self._root)

    @property
    def url(self) -> str:
        """Return its path."""
        return str(self._root)

    @property
    def options(self) -> Mapping[str, str]:
        """Return none."""
        return {}

    def prepare(self) -> None:
        """Make it and bring the names of its parents to disk."""
        self._root.mkdir(parents=True, exist_ok=True)
        for folder in (self._root.parent.parent, self._root.parent, self._root):
            self._disk.sync_folder(folder)

    def read(self, name: str) -> bytes | None:
        """Read it whole."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise UnavailableError(f"{self._root / name} cannot be read ({exc.strerror})") from exc

    def names(self, under: str = "") -> Sequence[str]:
        """List it."""
        folder = self._root / under
        return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else ()

    def put(self, name: str, content: bytes) -> None:
        """Write beside, sync, rename."""
        path = self._root / name
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_bytes(content)
            self._sync(fresh)
            self._disk.replace(fresh, path)
            self._disk.sync_folder(path.parent)
        except (OSError, UnavailableError) as exc:
            fresh.unlink(missing_ok=True)
            raise UnavailableError(f"{path} could not be written: {exc}; nothing was changed") from exc

    def sync(self, name: str) -> None:
        """Bring the file and its name onto the medium."""
        self._sync(self._root / name)

    def _sync(self, path: Path) -> None:
        try:
            descriptor = self._disk.open(path)
            try:
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)
            self._disk.sync_folder(path.parent)
        except OSError as exc:
            raise UnavailableError(f"{path} could not be synced: {exc}; nothing is known to be stored") from exc

    def remove(self, name: str) -> None:
        """Unlink it."""
        self._disk.remove(self._root / name)

    def set_aside(self, name: str) -> None:
        """Move it into ``_quarantine``."""
        path = self._root / name
        if path.exists():
            aside = self._root / "_quarantine"
            aside.mkdir(exist_ok=True)
            taken = sum(1 for _ in aside.iterdir())
            self._disk.replace(path, aside / f"{taken:04d}-{path.name}")
            self._disk.sync_folder(path.parent)

    def local(self, name: str, stored: bytes | None = None) -> Path:  # noqa: ARG002  it is here already
        """Return its path."""
        return self._root / name

    def stamp(self, name: str) -> Stamp | None:
        """Return size, time and inode."""
        try:
            found = (self._root / name).stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino
