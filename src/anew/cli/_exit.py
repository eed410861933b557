"""How a command ends: done, or with one sentence on stderr and the exit code of its error."""

import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from anew.domain.errors import (
    AnewError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PolicyError,
    SchemaError,
    SettingsError,
    UnavailableError,
)

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
        sys.stderr.write(f"anew: {exc}\n")
        sys.exit(next(code for kind, code in EXIT_CODES if isinstance(exc, kind)))
    except OSError as exc:
        if not _reader_left():
            sys.stderr.write(f"anew: {exc}\n")
        sys.exit(1)


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
