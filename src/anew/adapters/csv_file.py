"""A CSV file as a table, as it is written: nothing in it is guessed, and what could be read in two ways is refused."""

import codecs
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Final

import polars as pl

from anew.adapters.iso_text import parse_iso
from anew.domain.errors import SchemaError

__all__ = ["read_csv"]

_CHUNK: Final = 1 << 20
_AROUND: Final = 20
"""Bytes that are shown on either side of one that is no UTF-8."""


def read_csv(file: Path, texts: Collection[str]) -> pl.DataFrame:
    """Read a CSV file whole; columns become dates or instants where all they hold is ISO 8601.

    Parameters
    ----------
    texts
        Columns that stay text, though they may look like something else.

    Raises
    ------
    SchemaError
        It is no UTF-8, or two of its columns have one name.
    """
    _refuse_other_text(file)
    _refuse_names_twice(file)
    kept = dict.fromkeys(texts, pl.String)
    # a column may turn out late to hold text
    frame = pl.read_csv(file, infer_schema_length=None, schema_overrides=kept)
    found = (each for each in frame if each.dtype == pl.String and each.name not in kept)
    return frame.with_columns(read for each in found if (read := parse_iso(each)) is not None)


def _refuse_other_text(file: Path) -> None:
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
    try:
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                decoder.decode(chunk)
                lines += chunk.count(b"\n")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as exc:
        before, after = exc.object[: exc.start], exc.object[exc.start : exc.start + _AROUND]
        shown = before[-_AROUND:].rpartition(b"\n")[2] + after.partition(b"\n")[0]
        line = lines + before.count(b"\n")
        raise SchemaError(
            f"{file.name}: line {line} has bytes that are no UTF-8, in {shown!r}; save the file "
            "as UTF-8 (iconv -f ITS-ENCODING -t UTF-8)"
        ) from exc


def _refuse_names_twice(file: Path) -> None:
    head = pl.read_csv(file, has_header=False, n_rows=1, infer_schema=False)
    twice = [name for name, count in Counter(head.row(0)).items() if count > 1] if head.height else []
    if twice:
        said = ", ".join(repr(name or "") for name in twice)
        raise SchemaError(f"{file.name}: more than one column is called {said}; give each a name of its own")
