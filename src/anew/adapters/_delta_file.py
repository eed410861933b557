"""Parquet files of the lake: written once, synced, addressed by digest, verified before they are read."""

from collections.abc import Sequence

import polars as pl

from anew.adapters._delta_log import TableLog, digest_of
from anew.adapters._lake_folder import LakeFolder, Stamp
from anew.adapters._lake_frame import Schema
from anew.adapters._lake_mark import StoredFile
from anew.domain.errors import IntegrityError, UnavailableError
from anew.ports.lake import PackedRows

__all__ = ["FileReader", "damage_of", "store"]


def store(log: TableLog, packed: PackedRows, *, version: int) -> StoredFile:
    """Write rows as a new file of the table and sync it; no commit names it yet.

    Raises
    ------
    UnavailableError
        The disk is full or failed; nothing is left behind.
    IntegrityError
        The bytes are not those that were packed.
    """
    digest = digest_of(packed.content)
    if digest != packed.sha256:
        raise IntegrityError(
            f"{packed.rows} rows for {log.folder.url} have other bytes than were prepared; nothing was stored"
        )
    name = f"{version:020d}-{digest[:16]}.parquet"
    log.folder.put(name, packed.content)
    return StoredFile(
        path=name, rows=packed.rows, size=len(packed.content), sha256=digest, low=packed.low, high=packed.high
    )


def damage_of(folder: LakeFolder, file: StoredFile) -> str:
    """Say what is wrong with a stored file, in a few words; empty when every byte is as it was stored."""
    try:
        content = folder.read(file.path)
    except UnavailableError as exc:
        return str(exc)
    return "is missing" if content is None else _differs(content, file)


def _differs(content: bytes, file: StoredFile) -> str:
    if len(content) != file.size:
        return f"has {len(content)} bytes instead of {file.size}"
    return "" if digest_of(content) == file.sha256 else "has other bytes than were stored"


class FileReader:
    """Reads files of one table; a file is verified when it is first read, and again when it has been touched since."""

    def __init__(self, folder: LakeFolder, schema: Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._verified: dict[str, Stamp] = {}

    def read(self, files: Sequence[StoredFile], where: pl.Expr | None = None) -> pl.DataFrame:
        """Return the rows of `files`, in their order, for which `where` holds.

        Raises
        ------
        IntegrityError
            A file is not as it was stored; fewer rows are never returned instead.
        """
        if not files:
            return pl.DataFrame(schema=self._schema)
        for file in files:
            self._verify(file)
        rows = pl.scan_parquet([self._folder.local(file.path) for file in files], glob=False)
        try:
            return (rows if where is None else rows.filter(where)).collect()
        except (pl.exceptions.PolarsError, OSError) as exc:
            raise IntegrityError(f"files of {self._folder.url} were changed while they were read: {exc}") from exc

    def _verify(self, file: StoredFile) -> None:
        stamp = self._folder.stamp(file.path)
        if stamp is not None and stamp == self._verified.get(file.path):
            return
        content = self._folder.read(file.path)
        damage = "is missing" if content is None else _differs(content, file)
        if damage:
            where = f"{self._folder.url}/{file.path}"
            raise IntegrityError(f"{where} {damage}, {file.rows} rows; `anew doctor` says what to do")
        self._folder.local(file.path, content)
        self._verified[file.path] = stamp or self._folder.stamp(file.path) or ()
