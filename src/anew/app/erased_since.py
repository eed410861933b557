"""The erasures that a backup knows nothing of: who restores it brings those rows back."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.adapters.postgres_link import Place
from anew.app.backup_manifest import copy_file
from anew.app.record_place import has_record, record_place
from anew.domain.errors import AnewError
from anew.domain.facts import SubjectPurgeAsked

__all__ = ["Erasure", "erased_since"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """An order to erase a subject's rows; whose they were, nothing says any more."""

    at: datetime
    by: str
    reason: str


def erased_since(backup: Path, state: Path) -> Sequence[Erasure] | None:
    """Return what was ordered to be erased by the record in `state` and not by the backup's; None: it cannot be read.

    Of a folder without a record, nothing is known.
    """
    try:
        asked = _asked(record_place(state)) if has_record(state) else ()
    except AnewError:
        return None
    if not asked:
        return ()
    with tempfile.TemporaryDirectory() as folder:  # a reader may leave a log beside the file
        again = Path(folder) / "anew.db"
        copy_file(backup / "state" / again.name, again)
        known = {fact.command for fact in _asked(again)}
    return [Erasure(at=fact.at, by=fact.by, reason=fact.reason) for fact in asked if fact.command not in known]


def _asked(place: Place) -> Sequence[SubjectPurgeAsked]:
    found = (each.fact for each in read_facts(place, kinds={SubjectPurgeAsked.__name__}))
    return [fact for fact in found if isinstance(fact, SubjectPurgeAsked)]
