"""What is remembered of a project's last backup, beside its stores; of one that was restored, it is that one."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

__all__ = ["BackupRecord", "last_backup", "remember_backup"]

_FILE = "backup.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRecord:
    """A backup that was made, or restored, and checked: where it went, as of when, and how many facts it holds."""

    folder: str
    at: datetime
    facts: int


def remember_backup(state: Path, made: BackupRecord) -> None:
    """Note the backup in the project's ``.anew`` folder; raises OSError where that cannot be."""
    draft = state / f".{_FILE}"
    draft.write_text(json.dumps({"folder": made.folder, "at": made.at.isoformat(), "facts": made.facts}), "utf-8")
    draft.replace(state / _FILE)


def last_backup(state: Path) -> BackupRecord | None:
    """Return the last backup, None when none is noted."""
    try:
        told = json.loads((state / _FILE).read_text("utf-8"))
        return BackupRecord(folder=told["folder"], at=datetime.fromisoformat(told["at"]), facts=int(told["facts"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
