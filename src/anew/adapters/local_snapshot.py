"""Snapshots as Parquet files in a folder, named by the address of their rows."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import polars as pl

from anew.adapters.rust_panic import RustPanicError, without_panic
from anew.domain.errors import DiskFullError, IntegrityError, NotFoundError, UnavailableError
from anew.feedback.address import rows_address

__all__ = ["LocalSnapshotStore"]


class LocalSnapshotStore:
    """See `anew.ports.snapshot.SnapshotStore`.

    Parameters
    ----------
    root
        Folder of the files, made when it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, rows: pl.DataFrame) -> str:
        """Write a new file beside its name, sync it, and rename."""
        digest = rows_address(rows)
        path = self._path(digest)
        if path.exists():
            return digest
        self._write(
            path, lambda draft: rows.write_parquet(draft, compression="zstd"), f"the snapshot of {rows.height} rows"
        )
        return digest

    def _write(self, path: Path, write: Callable[[Path], None], what: str) -> None:
        draft = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            write(draft)
            with draft.open("rb") as opened:
                os.fsync(opened.fileno())
            draft.rename(path)
            self._sync_folder()
        except (OSError, pl.exceptions.PolarsError) as exc:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            error = DiskFullError if "No space left" in str(exc) else UnavailableError
            raise error(f"{what} cannot be written to {self._root}: {exc}") from exc

    def get(self, digest: str) -> Path:
        """Read the file and compare its rows with its name."""
        path = self._path(digest)
        if not path.is_file():
            raise NotFoundError(f"no snapshot has the address {digest}")
        try:
            with without_panic():
                found = rows_address(pl.read_parquet(path))
        except (OSError, pl.exceptions.PolarsError, RustPanicError) as exc:
            raise IntegrityError(f"the snapshot {digest} cannot be read: {exc}") from exc
        if found != digest:
            raise IntegrityError(f"the snapshot {digest} holds other rows (address {found})")
        return path

    def admit(self, digest: str, stored: bytes) -> None:
        """Write the file of a snapshot that is stored elsewhere, over one that is here; `get` checks its rows.

        Raises
        ------
        DiskFullError, UnavailableError
            It cannot be written.
        """
        path = self._path(digest)

        def write(draft: Path) -> None:
            draft.write_bytes(stored)

        self._write(path, write, f"the snapshot {digest}")

    def purge(self, key: str) -> tuple[str, ...]:
        """Delete every snapshot that has rows of this key, and return their addresses."""
        found = self.holding(key)
        for digest in found:
            self._path(digest).unlink(missing_ok=True)
        return found

    def holding(self, key: str) -> tuple[str, ...]:
        """Return the addresses of the snapshots that have rows of this key."""
        found = []
        for path in sorted(self._root.glob("*.parquet")):
            rows = pl.scan_parquet(path)
            if "_key" in rows.collect_schema() and rows.filter(pl.col("_key") == key).head(1).collect().height:
                found.append(path.stem)
        return tuple(found)

    def stored(self) -> list[str]:
        """Return the addresses that there are, in order."""
        return sorted(path.stem for path in self._root.glob("*.parquet") if self.names(path.stem))

    @staticmethod
    def names(digest: str) -> bool:
        """Can there be a snapshot at this address?"""
        return len(digest) == 64 and all(c in "0123456789abcdef" for c in digest)

    def _path(self, digest: str) -> Path:
        if not self.names(digest):
            raise NotFoundError(f"{digest!r} is no address of a snapshot")
        return self._root / f"{digest}.parquet"

    def _sync_folder(self) -> None:
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
