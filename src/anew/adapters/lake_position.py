"""How far each journal is stored, for who reads the lake's mark and has no lake open."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from anew.adapters.sqlite_errors import translate
from anew.adapters.sqlite_opening import read_only

__all__ = ["stored_positions"]


def stored_positions(mark: Path) -> Mapping[str, int]:
    """Return, by journal, the number up to which the lake marked by the file `mark` has its records.

    Empty where there is no such file.

    Raises
    ------
    UnavailableError, IntegrityError
        It cannot be read.
    """
    if not mark.is_file():
        return {}
    try:
        with closing(sqlite3.connect(read_only(mark), uri=True, timeout=5)) as connection:
            return dict(connection.execute("SELECT journal, position FROM positions").fetchall())
    except sqlite3.Error as exc:
        raise translate(exc, mark) from exc
