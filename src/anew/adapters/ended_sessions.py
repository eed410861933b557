"""Sessions that ended before their time, in a file: what was ended stays so, and without the file all of them are."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from anew.adapters.private_file import PrivateFile

__all__ = ["EndedSessions"]

_SCHEMA: Final = 2
_FIRST: Final = "1"
"""The era of a file of schema 1, which had none."""


@dataclass(slots=True, kw_only=True)
class _Held:
    """`ended` has until when a session would have been good, `cut` when a tie was and until when that counts."""

    era: str = field(default_factory=lambda: secrets.token_hex(16))
    ended: dict[str, float] = field(default_factory=dict)
    cut: dict[str, tuple[float, float]] = field(default_factory=dict)


class EndedSessions:
    """Remembers each until it would have ended by itself, and no longer. Thread- and process-safe.

    A file that is made because there is none has an era of its own: whoever deletes it ends every session instead of
    reviving those that were ended.
    """

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self._path, self._now = path, now
        self._file: PrivateFile[_Held] = PrivateFile(path, "sessions", read=_read, write=_plain, none=_Held)

    def era(self) -> str:
        """Return the file's era; durable on return."""
        if not self._path.exists():
            with self._file.changing():  # the one that is made by whoever comes first
                pass
        return self._file.held().era

    def add(self, nonce: str, until: datetime) -> None:
        """Remember a session that would have been good until then; durable on return."""
        with self._file.changing() as held:
            self._forget(held)
            held.ended[nonce] = until.timestamp()

    def cut(self, ties: Collection[str], at: datetime, until: datetime) -> None:
        """Remember until then that sessions with one of these ties are over which began at `at` or before."""
        with self._file.changing() as held:
            self._forget(held)
            for each in ties:
                before = held.cut.get(each, (0.0, 0.0))
                held.cut[each] = max(before[0], at.timestamp()), max(before[1], until.timestamp())

    def is_over(self, nonce: str, ties: Collection[str], began: datetime) -> bool:
        """Was this session ended?"""
        held = self._file.held()
        return nonce in held.ended or any(began.timestamp() <= held.cut[each][0] for each in ties if each in held.cut)

    def _forget(self, held: _Held) -> None:
        now = self._now().timestamp()
        held.ended = {each: until for each, until in held.ended.items() if until > now}
        held.cut = {each: (at, until) for each, (at, until) in held.cut.items() if until > now}


def _read(plain: Any) -> _Held:
    if plain["schema"] not in (1, _SCHEMA):
        raise ValueError(f"schema {plain['schema']}")
    era = _FIRST if plain["schema"] == 1 else str(plain["era"])
    cut = {str(tie): (float(at), float(until)) for tie, (at, until) in plain.get("cut", {}).items()}
    return _Held(era=era, ended={str(nonce): float(until) for nonce, until in plain["ended"].items()}, cut=cut)


def _plain(held: _Held) -> object:
    return {"schema": _SCHEMA, "era": held.era, "ended": held.ended, "cut": held.cut}
