"""What a version's own code raised, in words for the log: the type, the text and the place, and no value of a row."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from traceback import TracebackException, walk_tb
from types import TracebackType

from anew.domain.column import Value

__all__ = ["FirstOfKind", "describe_failure"]

_LONGEST = 300
_MOST_KINDS = 100
_PART = re.compile(r"\\(?:x[\da-f]{2}|u[\da-f]{4}|U[\da-f]{8})|[^\W\d_]+|\d+")
"""A letter in escape, a word, or digits."""
_RUN = re.compile(r"…(?:[.,]?…)+")
_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of libraries, some of which have a ``pipeline.py`` as well."""


@dataclass(slots=True)
class FirstOfKind:
    """Tells the first failure of each kind from those that follow, so that a log has one line for each."""

    _seen: set[tuple[str, ...]] = field(default_factory=set)

    def __call__(self, *kind: str) -> bool:
        """Return whether this kind is new; after a hundred of them, none is."""
        if kind in self._seen or len(self._seen) >= _MOST_KINDS:
            return False
        self._seen.add(kind)
        return True


def describe_failure(exc: BaseException, rows: Iterable[Mapping[str, Value]]) -> str:
    """Return type, text and last frame of `exc`, a frame of the version's own ``pipeline.py`` where there is one.

    Left out of the text is every digit, and every word that stands in `rows`, also as `repr` and `ascii` write it. A
    word that the code changed before it raised, other than in its letters' case, is not known again.

    >>> describe_failure(ValueError("no price for Ann in 1.5 km"), [{"name": "Ann", "km": 1.5}])
    'ValueError: no price for … in … km'
    """
    text = _without(_text(exc), rows)[:_LONGEST]
    said = f"{type(exc).__name__}: {text}" if text else type(exc).__name__
    return said + _place(exc.__traceback__)


def _text(exc: BaseException) -> str:
    """Return the beginning of the text, in whole words; `str` of an exception may raise, of its summary it does not."""
    text = str(TracebackException(type(exc), exc, None, lookup_lines=False, compact=True))
    cut = text[: 4 * _LONGEST]
    return " ".join((cut if cut == text else re.sub(r"\w+\Z", "", cut)).split())


def _without(text: str, rows: Iterable[Mapping[str, Value]]) -> str:
    """Return the text with … for the digits and the words of `rows`."""
    values = " ".join({value for row in rows for value in row.values() if isinstance(value, str)})
    words = frozenset[str]().union(*(_words(form) for form in {values, repr(values)[1:-1], ascii(values)[1:-1]}))

    def known(match: re.Match[str]) -> str:
        part = match[0]
        return part if part[0].isalpha() and part.casefold() not in words else "…"

    return _RUN.sub("…", _PART.sub(known, text))


def _words(text: str) -> set[str]:
    """Return the words, in small letters; letters may become others by that, and are then parted elsewhere."""
    folded = set(_PART.findall(text.casefold()))
    return folded if text.isascii() else folded | {word.casefold() for word in _PART.findall(text)}


def _place(trace: TracebackType | None) -> str:
    """Return where it was raised; source lines are not looked up, since a gateway's loop waits for this."""
    frames = [(PurePath(frame.f_code.co_filename), line, frame.f_code.co_name) for frame, line in walk_tb(trace)]
    own = [each for each in frames if each[0].name == "pipeline.py" and not _INSTALLED & set(each[0].parts)]
    if not frames:
        return ""
    file, line, name = (own or frames)[-1]
    return f" ({file.name}, line {line}, in {name})"
