"""A project's own rows from before it served, brought into its lake once."""

from datetime import datetime

from anew.adapters.table_file import file_digest, read_table
from anew.app.feature_store import known_rows
from anew.app.settings import Settings
from anew.ports.lake import Lake

__all__ = ["import_history"]


def import_history(settings: Settings, lake: Lake) -> datetime | None:
    """Import the project's history file once; return the event time of its newest row.

    A file that was imported may go afterwards.
    """
    name = settings.policy.data.history
    if not name:
        return None
    file = settings.root / name
    if not file.exists() and lake.counts().get("history"):
        return None
    rows = known_rows(read_table(file), settings, file.name)
    lake.import_history(rows, source=f"{name}@{file_digest(file)}")
    newest = rows.get_column("_at").max()
    return newest if isinstance(newest, datetime) else None
