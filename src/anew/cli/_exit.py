"""How a command ends: done, or with one sentence on stderr and the exit code of its error."""

import errno
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from anew.cli._output import remark
from anew.domain.errors import (
    AnewError,
    ConflictError,
    DiskFullError,
    ForbiddenError,
    NotFoundError,
    PolicyError,
    SchemaError,
    SettingsError,
    UnavailableError,
)
from anew.domain.shortage import shortage

__all__ = ["EXIT_CODES", "exits"]

EXIT_CODES: Sequence[tuple[type[AnewError], int]] = (
    (SettingsError, 2),
    (SchemaError, 2),
    (PolicyError, 3),
    (NotFoundError, 4),
    (ConflictError, 5),
    (ForbiddenError, 6),
    (UnavailableError, 7),
    (AnewError, 1),
)
"""Exit code of each error, the closest class first; 0 is done, 8 waiting for an approval."""


@contextmanager
def exits() -> Iterator[None]:
    """Turn what ends a command early into words and an exit code; a reader that left needs no words."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except AnewError as exc:
        _end(exc)
    except OSError as exc:
        what, words = shortage(exc)
        if what == "disk_full":
            _end(DiskFullError(f"{words} ({exc}): make room, and ask again"))
        if not _reader_left():
            remark(f"anew: {exc}{_refused(exc)}")
        sys.exit(1)


def _end(error: AnewError) -> NoReturn:
    remark(f"anew: {error}")
    sys.exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind)))


def _refused(error: OSError) -> str:
    """Return what to do about a file that may not be read or written; empty where the error says enough."""
    if error.errno == errno.EROFS:
        return "; the file system is mounted read-only: mount it to be written, or bring the folder elsewhere"
    if error.errno != errno.EACCES or not isinstance(error.filename, str):
        return ""
    place = Path(error.filename).absolute()
    for folder in (place, *place.parents):
        with suppress(OSError):
            owner = folder.stat().st_uid
            break
    else:
        return ""
    if owner == os.geteuid():
        closed = not os.access(folder, os.R_OK | os.W_OK)
        return f"; {folder} is yours, and its mode keeps you out (chmod)" if closed else ""
    return f"; {folder} belongs to user {owner}: run this as that user"


def _reader_left() -> bool:
    """Say whether nobody reads what is printed any more, and print the rest into nothing then."""
    try:
        out = sys.stdout.fileno()
    except OSError:
        return False  # it is held in memory
    asked = select.poll()
    asked.register(out, 0)  # an error is told unasked
    if not any(events & select.POLLERR for _, events in asked.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), out)
    return True
