"""A lake that is found damaged: mended from what there is, and what then still cannot be read keeps nobody waiting."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from anew.domain.errors import AnewError, IntegrityError
from anew.feedback import FeedbackState
from anew.loop.observer import rows_seen
from anew.ports.journal import JournalReader
from anew.ports.lake import Lake

__all__ = ["mend", "mended", "seen_before"]

_LOG = logging.getLogger("anew.upkeep")
_Found = TypeVar("_Found")


def mend(lake: Lake, journals: JournalReader, alive: Callable[[], None]) -> Sequence[str]:
    """Compare every byte of the lake with what was stored, and repair what differs; return what was found.

    What cannot be repaired is logged, and refused when it is read. `alive` is called after each file.
    """
    problems = tuple(lake.verify(alive))
    for problem in problems:
        _LOG.error("lake damaged problem=%s", problem)
    if problems:
        try:
            for sentence in lake.rebuild(journals, alive):
                _LOG.warning("lake repaired what=%s", sentence)
        except AnewError as exc:
            _LOG.error("lake not repaired, a person has to look problem=%s", exc)
    return problems


def mended(lake: Lake, journals: JournalReader, alive: Callable[[], None], read: Callable[[], _Found]) -> _Found:
    """Return what `read` does; where damage hinders it, the lake is mended first.

    Raises
    ------
    IntegrityError
        It could not be.
    """
    try:
        return read()
    except IntegrityError:
        mend(lake, journals, alive)
        return read()


def seen_before(
    lake: Lake, journals: JournalReader, alive: Callable[[], None], state: FeedbackState
) -> tuple[datetime | None, datetime | None]:
    """Return what `rows_seen` does; of a lake that cannot be read, what the record says: to serve comes first."""
    try:
        return mended(lake, journals, alive, lambda: rows_seen(lake, state))
    except IntegrityError as exc:
        _LOG.error("event time goes on where the record ends problem=%s", exc)
        return None, state.ticked
