"""Snapshots as Parquet files in a folder, named by the address of their rows."""

import os
from contextlib import suppress
from pathlib import Path

import polars as pl

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
        draft = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            rows.write_parquet(draft, compression="zstd")
            with draft.open("rb") as opened:
                os.fsync(opened.fileno())
            draft.rename(path)
            self._sync_folder()
        except (OSError, pl.exceptions.PolarsError) as exc:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            error = DiskFullError if "No space left" in str(exc) else UnavailableError
            raise error(f"the snapshot of {rows.height} rows cannot be written to {self._root}: {exc}") from exc
        return digest

    def get(self, digest: str) -> Path:
        """Read the file and compare its rows with its name."""
        path = self._path(digest)
        if not path.is_file():
            raise NotFoundError(f"no snapshot has the address {digest}")
        try:
            found = rows_address(pl.read_parquet(path))
        except (OSError, pl.exceptions.PolarsError) as exc:
            raise IntegrityError(f"the snapshot {digest} cannot be read: {exc}") from exc
        if found != digest:
            raise IntegrityError(f"the snapshot {digest} holds other rows (address {found})")
        return path

    def purge(self, key: str) -> tuple[str, ...]:
        """Delete every snapshot that has rows of this key, and return their addresses."""
        found = []
        for path in sorted(self._root.glob("*.parquet")):
            rows = pl.scan_parquet(path)
            if "_key" in rows.collect_schema() and rows.filter(pl.col("_key") == key).head(1).collect().height:
                path.unlink(missing_ok=True)
                found.append(path.stem)
        return tuple(found)

    def _path(self, digest: str) -> Path:
        if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
            raise NotFoundError(f"{digest!r} is no address of a snapshot")
        return self._root / f"{digest}.parquet"

    def _sync_folder(self) -> None:
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
