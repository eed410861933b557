"""A project's file of labelled rows from before it served: read, and stored in the lake once."""

from collections.abc import Sequence
from datetime import datetime

from anew.adapters.table_file import file_digest, read_table, refuse_future
from anew.app.duration import parse_duration
from anew.app.feature_store import known_rows, own_rows
from anew.app.settings import Settings
from anew.domain.errors import AnewError
from anew.ports.lake import Lake

__all__ = ["history_problems", "take_history"]


def history_problems(settings: Settings, now: datetime) -> Sequence[str]:
    """Say, in a list of none or one, why `take_history` would refuse the project's file; nobody else is asked.

    One that is not there is no problem of the settings: it may have been imported.
    """
    name = settings.policy.data.history
    file = settings.root / name
    if not name or not file.exists():
        return ()
    try:
        frame = read_table(file)
        refuse_future(frame, settings.columns.time, file.name, _latest(settings, now))
        own_rows(frame, settings, file.name)
    except AnewError as exc:
        return (f"{settings.document.where(('data', 'history'))}: data.history: {exc}",)
    return ()


def take_history(settings: Settings, lake: Lake, now: datetime) -> datetime | None:
    """Import the project's history file once; return the event time of its newest row.

    A file that was imported may go afterwards.

    Parameters
    ----------
    now
        By the wall clock; rows are refused that lie as far ahead of it as a gateway refuses.

    Raises
    ------
    NotFoundError
        There is no such file.
    SchemaError
        It does not fit the project, or has rows from the future.
    """
    name = settings.policy.data.history
    if not name:
        return None
    file = settings.root / name
    if not file.exists() and lake.counts().get("history"):
        return None
    frame, source = read_table(file), f"{name}@{file_digest(file)}"
    if not lake.imported(source):  # what is stored is not held against a clock that was set back since
        refuse_future(frame, settings.columns.time, file.name, _latest(settings, now))
    rows = known_rows(frame, settings, file.name)
    lake.import_history(rows, source=source)
    newest = rows.get_column("_at").max()
    return newest if isinstance(newest, datetime) else None


def _latest(settings: Settings, now: datetime) -> datetime:
    return now + parse_duration(settings.policy.serving.future_skew)
