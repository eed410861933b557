"""Erases the rows of one subject, everywhere that anew keeps rows."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from anew.app.settings import Settings
from anew.app.stores import OpenStores, open_lake
from anew.domain.boundary import reach
from anew.domain.errors import NotFoundError
from anew.domain.facts import SubjectPurgeAsked, SubjectPurged

__all__ = ["order_purge", "stored_of", "subject_purge"]


def order_purge(settings: Settings, command: str, key: str) -> None:
    """Leave whose rows are to be erased where only the loop of this project finds it."""
    file = _order(settings.state, command)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        json.dump({"key": key}, opened)


def stored_of(settings: Settings, key: str) -> Mapping[str, int]:
    """Return how many stored rows of each table are of one subject; what is still in the journals is not counted."""
    if not (settings.state / "lake.db").is_file():
        return {}
    with open_lake(settings) as lake:
        return lake.having(key)


def subject_purge(stores: OpenStores, state: Path) -> Callable[[SubjectPurgeAsked], SubjectPurged]:
    """Return the effect; it may be repeated from its beginning until the order is gone."""

    def run(fact: SubjectPurgeAsked) -> SubjectPurged:
        order = _order(state, fact.command)
        try:
            key = json.loads(order.read_text("utf-8"))["key"]
        except (OSError, KeyError, TypeError, ValueError) as exc:
            raise NotFoundError(f"whose rows {fact.by} asked to be erased is not known any more; ask again") from exc
        stores.review.forget(key=key)
        rows, _ = stores.lake.purge(key)
        reach("purge.lake_done")
        snapshots = stores.snapshots.purge(key)
        for journal in stores.journals.journals():
            stores.journals.trim(journal, upto=stores.lake.drained(journal))
        order.unlink()
        return SubjectPurged(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            command=fact.command,
            rows=tuple(sorted(rows.items())),
            snapshots=snapshots,
        )

    return run


def _order(state: Path, command: str) -> Path:
    return state / "purge" / f"{command}.json"
