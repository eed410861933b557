"""Sessions that were signed out of before their time, in a file: what was ended stays so."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from anew.adapters.private_file import PrivateFile

__all__ = ["EndedSessions"]

_SCHEMA = 1


class EndedSessions:
    """Remembers each until it would have ended by itself, and no longer. Thread- and process-safe."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self._now = now
        self._file: PrivateFile[dict[str, float]] = PrivateFile(path, "sessions", read=_ended, write=_plain, none=dict)

    def add(self, nonce: str, until: datetime) -> None:
        """Remember a session that would have been good until then; durable on return."""
        now = self._now().timestamp()
        with self._file.changing() as ended:
            for each in [each for each, over in ended.items() if over <= now]:
                del ended[each]
            ended[nonce] = until.timestamp()

    def __contains__(self, nonce: object) -> bool:
        """Was this session ended?"""
        return nonce in self._file.held()


def _ended(plain: Any) -> dict[str, float]:
    if plain["schema"] != _SCHEMA:
        raise ValueError(f"schema {plain['schema']}")
    return {str(nonce): float(until) for nonce, until in plain["ended"].items()}


def _plain(ended: dict[str, float]) -> object:
    return {"schema": _SCHEMA, "ended": ended}
