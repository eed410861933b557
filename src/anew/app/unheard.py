"""Gateways on other hosts of which nothing is heard any more: nobody here can say whether they answer."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from anew.app.status import living_workers

__all__ = ["told_unheard", "unheard_since"]


def unheard_since(state: Path) -> datetime | None:
    """Return when a worker of another host was heard of last; None where one is heard, or none ever was."""
    if any(each.get("host") for each in living_workers(state)):
        return None
    return max(_heard(state), default=None)


def told_unheard(since: datetime) -> str:
    """Say in a line what that means."""
    return (
        f"other hosts: nothing was heard of one since {since:%Y-%m-%d %H:%M:%S} UTC; it has ended, or it answers on "
        "and the bucket (stores.replicas) does not, or no loop runs to hear it"
    )


def _heard(state: Path) -> Iterator[datetime]:
    for file in (state / "workers").glob("*.json"):
        try:
            if json.loads(file.read_text("utf-8")).get("host"):
                yield datetime.fromtimestamp(file.stat().st_mtime, UTC)
        except (OSError, ValueError):
            continue
