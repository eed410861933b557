"""What a version's own code raised, in words for the log: the type, the text and the place, and no value of a row."""

import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from anew.domain.column import Value

__all__ = ["FirstOfKind", "describe_failure"]

_LONGEST = 300
_MOST_KINDS = 100


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
    """Return type, text and last frame of `exc`, a frame of ``pipeline.py`` where there is one.

    What the text repeats of the values of `rows` is left out, as far as it stands there as it stands in a row.

    >>> describe_failure(ValueError("no price for Ann in 1.5 km"), [{"name": "Ann", "km": 1.5}])
    'ValueError: no price for … in … km'
    """
    text = " ".join(str(exc).split())[: 4 * _LONGEST]
    for value in sorted(_words(rows), key=len, reverse=True):
        if value in text.casefold():
            text = re.sub(rf"(?<![\w.]){re.escape(value)}(?!\w|\.\d)", "…", text, flags=re.IGNORECASE)
    said = f"{type(exc).__name__}: {text[:_LONGEST]}" if text else type(exc).__name__
    frames = traceback.extract_tb(exc.__traceback__)
    own = [frame for frame in frames if frame.filename.endswith("pipeline.py")] or frames
    return f"{said} ({PurePath(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name})" if own else said


def _words(rows: Iterable[Mapping[str, Value]]) -> set[str]:
    """Return how the values of rows may be written, in small letters."""
    found: set[str] = set()
    for row in rows:
        for value in row.values():
            if value is None or isinstance(value, bool):
                continue
            found.add(str(value).strip().casefold())
            if isinstance(value, float) and value.is_integer():
                found.add(str(int(value)))
    return found - {""}
