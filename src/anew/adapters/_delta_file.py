"""Parquet files of the lake: written once, synced, addressed by digest, verified before they are read."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import polars as pl

from anew.adapters._delta_log import TableLog, digest_of
from anew.adapters._lake_frame import Schema
from anew.adapters._lake_mark import StoredFile
from anew.domain.errors import IntegrityError

__all__ = ["FileReader", "damage_of", "encode", "store"]

_Stamp = tuple[int, int, int]


def encode(frame: pl.DataFrame) -> bytes:
    """Return `frame` as a parquet file; the same rows give the same bytes under the same versions of polars."""
    sink = BytesIO()
    frame.rechunk().write_parquet(sink, compression="zstd", compression_level=1, statistics=True)
    return sink.getvalue()


def store(log: TableLog, frame: pl.DataFrame, *, version: int) -> StoredFile:
    """Write `frame` as a new file of the table and sync it; no commit names it yet.

    Raises
    ------
    UnavailableError
        The disk is full or failed; nothing is left behind.
    IntegrityError
        What was encoded does not decode to the same rows.
    """
    content = encode(frame)
    if not pl.read_parquet(BytesIO(content)).equals(frame):
        raise IntegrityError(f"{frame.height} rows for {log.root} do not survive their encoding; nothing was stored")
    digest = digest_of(content)
    name = f"{version:020d}-{digest[:16]}.parquet"
    log.put(log.root / name, content)
    column = frame[log.ranged_by]
    by = column if column.dtype == pl.String else column.to_physical()
    return StoredFile(path=name, rows=frame.height, size=len(content), sha256=digest, low=by.min(), high=by.max())  # type: ignore[arg-type]  # a column of text or of whole numbers has such ends


def damage_of(root: Path, file: StoredFile) -> str:
    """Say what is wrong with a stored file, in a few words; empty when every byte is as it was stored."""
    try:
        content = (root / file.path).read_bytes()
    except FileNotFoundError:
        return "is missing"
    except OSError as exc:
        return f"cannot be read ({exc.strerror})"
    if len(content) != file.size:
        return f"has {len(content)} bytes instead of {file.size}"
    return "" if digest_of(content) == file.sha256 else "has other bytes than were stored"


class FileReader:
    """Reads files of one table; a file is verified when it is first read, and again when it has been touched since."""

    def __init__(self, root: Path, schema: Schema) -> None:
        self._root = root
        self._schema = schema
        self._verified: dict[str, _Stamp] = {}

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
        rows = pl.scan_parquet([self._root / file.path for file in files], glob=False)
        try:
            return (rows if where is None else rows.filter(where)).collect()
        except (pl.exceptions.PolarsError, OSError) as exc:
            raise IntegrityError(f"files of {self._root} were changed while they were read: {exc}") from exc

    def _verify(self, file: StoredFile) -> None:
        stamp = self._stamp(file.path)
        if stamp is not None and stamp == self._verified.get(file.path):
            return
        damage = damage_of(self._root, file)
        if damage or stamp is None:
            raise IntegrityError(f"{self._root / file.path} {damage}, {file.rows} rows; see `verify`, then `rebuild`")
        self._verified[file.path] = stamp

    def _stamp(self, path: str) -> _Stamp | None:
        try:
            found = (self._root / path).stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino
