"""A reference's profile in a file: its bins, its counts and the types of its columns, some ten kilobytes."""

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anew.domain.errors import AnewError, IntegrityError, NotFoundError, UnavailableError
from anew.stats.profile import Reference

__all__ = ["StoredReference", "read_reference", "write_reference"]

_SCHEMA = 1
_MAGIC = b"anew reference\n"


@dataclass(frozen=True, slots=True)
class StoredReference:
    """What a window is compared with.

    Parameters
    ----------
    reference
        Bins and counts.
    types
        Arrow type of each column as text; those that the reference leaves out too.
    """

    reference: Reference
    types: Mapping[str, str]


def write_reference(path: Path, stored: StoredReference) -> None:
    """Write a reference whole or not at all; a file that was there is replaced.

    Raises
    ------
    UnavailableError
        The file cannot be written.
    """
    plain = {"schema": _SCHEMA, "types": dict(stored.types), "reference": stored.reference.to_dict()}
    body = zlib.compress(json.dumps(plain, separators=(",", ":")).encode())
    started = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with started.open("wb") as file:
            file.write(_MAGIC + body)
            file.flush()
            os.fsync(file.fileno())
        started.replace(path)
    except OSError as exc:
        started.unlink(missing_ok=True)
        raise UnavailableError(f"the profile cannot be written to {path}: {exc.strerror}") from exc


def read_reference(path: Path) -> StoredReference:
    """Read what `write_reference` wrote.

    Raises
    ------
    NotFoundError
        There is no such file.
    IntegrityError
        It is no reference, is damaged, or was written by a newer version.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    raw = path.read_bytes()
    if not raw.startswith(_MAGIC):
        raise IntegrityError(f"{path.name} is no stored reference; make one with --reference FILE --save-profile PATH")
    try:
        plain = json.loads(zlib.decompress(raw[len(_MAGIC) :]))
        if plain["schema"] != _SCHEMA:
            raise IntegrityError(f"{path.name} has schema {plain['schema']}, this anew reads {_SCHEMA}: update anew")
        return StoredReference(Reference.from_dict(plain["reference"]), plain["types"])
    except (zlib.error, ValueError, KeyError, TypeError) as exc:
        if isinstance(exc, AnewError):
            raise IntegrityError(f"{path.name} is damaged: {exc}") from exc
        raise IntegrityError(f"{path.name} is damaged; make it again from the reference rows") from exc
