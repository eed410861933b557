"""The files of a Delta table in a bucket, with verified copies of those that are read."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from anew.adapters._lake_folder import Stamp
from anew.adapters.s3_bucket import S3Bucket
from anew.domain.errors import IntegrityError, UnavailableError

__all__ = ["S3Folder"]


class S3Folder:
    """A table's prefix; a put is whole and durable when it is acknowledged, so there is nothing to sync.

    Files never change under their name, so what was verified once is read from `cache`: the disk of this machine, which
    may be emptied at any time. The oldest copies go when there are more than `most_bytes`.
    """

    def __init__(self, bucket: S3Bucket, cache: Path, *, most_bytes: int = 2 << 30) -> None:
        self._bucket = bucket
        self._cache = cache
        self._most_bytes = most_bytes

    @property
    def url(self) -> str:
        """Return the prefix's URL."""
        return self._bucket.url

    @property
    def options(self) -> Mapping[str, str]:
        """Return what the bucket says."""
        return self._bucket.options

    def prepare(self) -> None:
        """Do nothing: a prefix is there when an object is."""

    def read(self, name: str) -> bytes | None:
        """Read the object whole."""
        return self._bucket.read(name)

    def names(self, under: str = "") -> Sequence[str]:
        """List the objects."""
        return self._bucket.names(under)

    def put(self, name: str, content: bytes) -> None:
        """Write the object."""
        self._bucket.put(name, content)

    def sync(self, name: str) -> None:
        """Do nothing: what is acknowledged is stored."""

    def remove(self, name: str) -> None:
        """Delete the object and its copy."""
        self._bucket.remove(name)
        (self._cache / name).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """Move the object under ``_quarantine``."""
        content = self._bucket.read(name)
        if content is not None:
            taken = len(self._bucket.names("_quarantine"))
            self._bucket.put(f"_quarantine/{taken:04d}-{name.rpartition('/')[2]}", content)
            self.remove(name)

    def local(self, name: str, stored: bytes | None = None) -> Path:
        """Return the copy; with `stored`, its verified bytes, made now."""
        path = self._cache / name
        if stored is None:
            if not path.exists():
                raise IntegrityError(f"the copy {path} of {self.url}/{name} was deleted while it was read; try again")
            return path
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(len(stored))
            fresh.write_bytes(stored)
            fresh.replace(path)
        except OSError as exc:
            fresh.unlink(missing_ok=True)
            raise UnavailableError(f"no copy of {self.url}/{name} could be made in {self._cache}: {exc}") from exc
        return path

    def stamp(self, name: str) -> Stamp | None:
        """Return size, time and inode of the copy."""
        try:
            found = (self._cache / name).stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino

    def _make_room(self, size: int) -> None:
        copies = sorted((path for path in self._cache.glob("*.parquet")), key=lambda path: path.stat().st_mtime)
        total = size + sum(path.stat().st_size for path in copies)
        for path in copies:
            if total <= self._most_bytes:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)
