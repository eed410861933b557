"""The record itself: what was recorded when, by whom, and why; searched, page by page."""

from dataclasses import dataclass
from datetime import datetime

from anew.dashboard.asking import Asking
from anew.dashboard.part import Narrate
from anew.ports.eventlog import Recorded

__all__ = ["AuditPage", "Entry", "audit_page"]

_MOST, _FAR = 50, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fact: its place in the record, when it was recorded, its event time, who is behind it, what led to it."""

    seq: int
    recorded_at: datetime
    at: datetime
    kind: str
    by: str
    said: str
    id: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """The newest entries that were asked for; `older` is where the next page begins, 0 at the end.

    A page is short, or empty, where little is like what was asked for: the next one goes on from there.
    """

    head: int
    kinds: tuple[str, ...]
    kind: str
    by: str
    text: str
    entries: tuple[Entry, ...]
    older: int


def audit_page(asking: Asking) -> AuditPage:
    """Make the page. Ticks and looks of a rollout, which come by the thousand, are left to `anew audit show`."""
    record, query = asking.record, asking.query
    kind, by, text = query.get("kind", ""), query.get("by", "").strip(), query.get("text", "").strip()
    told = query.get("before", "")
    before = int(told) if told.isdecimal() and len(told) < 16 else record.head + 1
    entries: list[Entry] = []
    older = 0
    for looked, each in enumerate(record.newest_first(*([kind] if kind else []), before=before)):
        if looked == _FAR:
            older = each.seq + 1
            break
        entry = _entry(each, asking.source.narrate)
        if (by and by != entry.by) or text.casefold() not in f"{entry.said} {entry.id}".casefold():
            continue
        if len(entries) == _MOST:
            older = entries[-1].seq
            break
        entries.append(entry)
    return AuditPage(
        head=record.head,
        kinds=tuple(record.kinds),
        kind=kind,
        by=by,
        text=text,
        entries=tuple(entries),
        older=older,
    )


def _entry(recorded: Recorded, said: Narrate) -> Entry:
    fact = recorded.fact
    return Entry(
        seq=recorded.seq,
        recorded_at=recorded.recorded_at,
        at=fact.at,
        kind=fact.kind,
        by=str(getattr(fact, "by", "")),
        said=said(fact),
        id=fact.id,
        cause=fact.cause,
    )
