"""How long the project's queues are and for how long things have waited in them, as numbers for Prometheus."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import Final

from anew.adapters.cursor_file import CursorFile
from anew.adapters.review_db import ReviewDB
from anew.app.settings import Settings
from anew.app.stores import review_file
from anew.gateway.metrics import Sample

__all__ = ["QUEUES", "queue_samples"]

QUEUES: Final[Mapping[str, tuple[str, str]]] = {
    "anew_review_items_open": ("gauge", "Answers that wait for people."),
    "anew_review_oldest_age_seconds": (
        "gauge",
        "Event time since the oldest answer that waits for people; 0 for none.",
    ),
    "anew_told_behind_facts": ("gauge", "Facts on record that a receiver outside has not been told of."),
    "anew_told_timestamp_seconds": (
        "gauge",
        "When a receiver outside was told of facts last, in Unix time; 0 for never.",
    ),
}


def queue_samples(settings: Settings, head: int, now: datetime) -> Iterator[Sample]:
    """Yield the numbers; `head` is the number of the newest fact.

    Raises
    ------
    UnavailableError, IntegrityError
        A queue cannot be read.
    """
    own = {"model": settings.model}
    file = review_file(settings.state)
    if settings.policy.feedback.review is not None and file.exists():
        with closing(ReviewDB(file)) as store:
            found = store.status(now)
        oldest = found["oldest"]
        age = 0.0 if oldest is None else max(0.0, (now - datetime.fromisoformat(oldest)).total_seconds())
        yield "anew_review_items_open", "", own, found["open"]
        yield "anew_review_oldest_age_seconds", "", own, age
    for name in _receivers(settings):
        cursor = CursorFile(settings.state / "told" / name)
        labels = own | {"receiver": name}
        yield "anew_told_behind_facts", "", labels, max(0, head - cursor.read())
        yield "anew_told_timestamp_seconds", "", labels, cursor.moved_at()


def _receivers(settings: Settings) -> Iterator[str]:
    """Yield the names of those who are told, as their cursors bear them."""
    policy = settings.policy
    yield from (f"webhook-{number}" for number in range(len(policy.events.webhooks)))
    yield from (f"notify-{number}" for number in range(len(policy.notify)))
    if policy.events.openlineage:
        yield "openlineage"
    if policy.events.traces is not None:
        yield "traces"
