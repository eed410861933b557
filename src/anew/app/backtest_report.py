"""The last backtest of a project, kept for its dashboard."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["keep_report", "kept_report"]

_FILE = "backtest.json"


def keep_report(state: Path, report: Mapping[str, Any]) -> None:
    """Keep the data of ``anew.backtest/1`` in the project's ``.anew``, where there is one."""
    if state.is_dir():
        draft = state / f"{_FILE}.part"
        draft.write_text(json.dumps(report), "utf-8")
        draft.replace(state / _FILE)


def kept_report(state: Path) -> tuple[datetime | None, Mapping[str, Any] | None]:
    """Return what was kept last, and when; nothing when there is none, or it cannot be read."""
    file = state / _FILE
    try:
        report: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
        return datetime.fromtimestamp(file.stat().st_mtime, UTC), report
    except (OSError, ValueError):
        return None, None
