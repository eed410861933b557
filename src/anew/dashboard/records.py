"""The record of each project that pages are made from, with what is kept of it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from time import monotonic
from typing import TypeVar

from anew.dashboard.catalogue import Catalogue, CatalogueError
from anew.dashboard.digest import Digest, maker, unpacked
from anew.dashboard.hearing import hear
from anew.dashboard.record import KnownFacts, Record
from anew.dashboard.source import RecordReader, Source
from anew.domain.errors import UnavailableError

__all__ = ["Records", "StillReadingError", "heard"]

T = TypeVar("T")

_LOG = logging.getLogger("anew.dashboard")
_FILE_AGAIN_S = 600.0
"""When a file that could not be had is tried again; what is in memory until then is heard from its beginning then."""
_AT_ONCE, _KNOWN = 10_000, 1_000
"""How many facts are read, taken in and written together, some 20 MB of them; and how many of these stay known."""


class StillReadingError(UnavailableError):
    """There is more on record than could be heard in the time; what was heard stays heard."""


@dataclass(slots=True, kw_only=True)
class _Heard:
    """A record as far as it was heard; `mark` is what tells it from others up to `head`.

    `again` is when a file is to be tried again; never where there is one.
    """

    catalogue: Catalogue
    again: float = inf
    head: int = 0
    mark: str = ""
    digest: Digest = field(default_factory=Digest)
    known: KnownFacts = field(default_factory=KnownFacts)


class Records:
    """The record of each project by name, as far as it was heard; not thread-safe.

    Parameters
    ----------
    patience_s
        How long one who asks may have to wait until what was recorded is heard.
    """

    def __init__(self, patience_s: float = 10.0) -> None:
        self._patience_s = patience_s
        self._heard: dict[str, _Heard] = {}
        self._in_memory: set[str] = set()

    def read(self, name: str, source: Source, make: Callable[[Record], T], *, patience_s: float | None = None) -> T:
        """Return what is made from a record as it is now; what was recorded since the last look is heard first.

        Ten thousand facts are heard at least, whatever `patience_s` says in place of the usual.

        What is kept of it in a file is read on where it ends. It is made anew where it is damaged, of another record
        (one that was restored, say) or of another release; where it cannot be reached, it is made in memory. `make` may
        be called again then.

        Raises
        ------
        StillReadingError
            There is more to be heard than can be in the time; who asks again finds more of it heard.
        UnavailableError
            It can be made nowhere.
        """
        until = monotonic() + (self._patience_s if patience_s is None else patience_s)
        for damages in range(3):
            try:
                with source.reading() as reader:
                    if not reader.head():  # nothing is on record, or it is away for a moment
                        return make(Record(0, Catalogue(None), Digest(), reader, KnownFacts()))
                    heard = self._newest(name, source, reader, until)
                    return make(Record(heard.head, heard.catalogue, heard.digest, reader, heard.known))
            except CatalogueError as exc:
                _LOG.warning("catalogue_failed project=%r problem=%r", name, str(exc))
                self._forget(name)
                if damages or not exc.damaged or not _deleted(self._path(name, source)):
                    self._in_memory.add(name)
        raise UnavailableError("the pages cannot be made from the record now; the log of the dashboard says why")

    def close(self) -> None:
        """Let go of all files."""
        for name in list(self._heard):
            self._forget(name)

    def _newest(self, name: str, source: Source, reader: RecordReader, until: float) -> _Heard:
        heard = self._heard.get(name)
        if heard is not None and monotonic() > heard.again:
            self._in_memory.discard(name)
            if source.catalogue() is None:  # another has it still: what is in memory stays
                heard.again = monotonic() + _FILE_AGAIN_S
            else:
                self._forget(name)
                heard = None
        heard = heard or self._opened(name, source)
        if heard.head and reader.mark(heard.head) != heard.mark:
            _LOG.warning("record_replaced project=%r", name)
            heard = self._anew(name, source)
        began = heard.head
        while facts := reader.after(heard.head, _AT_ONCE):
            head = facts[-1].seq
            if monotonic() > until and heard.head > began:
                raise StillReadingError(_under_way(heard.head, reader.head()))
            mark = reader.mark(head)
            try:
                hear(heard.catalogue, heard.digest, facts, mark, self._maker)
            except BaseException:
                self._forget(name)  # what is in memory is not what is kept any more
                raise
            heard.head, heard.mark = head, mark
            for each in facts[-_KNOWN:]:
                heard.known.add(each)
        return heard

    def _opened(self, name: str, source: Source) -> _Heard:
        """Open what is kept, and believe it where this code made it; that it is of this record is seen by its mark."""
        heard = self._heard[name] = self._begun(name, source)
        kept = heard.catalogue.kept()
        if kept is None:
            return heard
        if kept.maker != self._maker:
            return self._anew(name, source)
        try:
            heard.head, heard.mark, heard.digest = kept.head, kept.mark, unpacked(kept.state)
        except ValueError as exc:
            raise CatalogueError(str(exc)) from exc
        return heard

    def _anew(self, name: str, source: Source) -> _Heard:
        """Throw away what is kept, and begin."""
        self._forget(name)
        if not _deleted(self._path(name, source)):
            self._in_memory.add(name)
        heard = self._heard[name] = self._begun(name, source)
        return heard

    def _begun(self, name: str, source: Source) -> _Heard:
        path = self._path(name, source)
        return _Heard(catalogue=Catalogue(path), again=inf if path else monotonic() + _FILE_AGAIN_S)

    def _forget(self, name: str) -> None:
        heard = self._heard.pop(name, None)
        if heard is not None:
            heard.catalogue.close()

    def _path(self, name: str, source: Source) -> Path | None:
        return None if name in self._in_memory else source.catalogue()

    @cached_property
    def _maker(self) -> str:
        return maker()


def _under_way(head: int, end: int) -> str:
    return (
        f"the record is being read, {head:,} of {end:,} facts so far ({head / end:.0%}); this is done once, and goes "
        "on each time somebody asks: look again in a moment"
    )


def heard(reader: RecordReader) -> Record:
    """Return a record that is read once, with nothing kept of it; for as long as its reader is open."""
    catalogue, digest, head = Catalogue(None), Digest(), 0
    while facts := reader.after(head, _AT_ONCE):
        head = facts[-1].seq
        hear(catalogue, digest, facts, "", "")
    return Record(head, catalogue, digest, reader, KnownFacts())


def _deleted(path: Path | None) -> bool:
    """Delete a file of SQLite's with what stands beside it; is it gone?"""
    if path is None:
        return True
    try:
        for beside in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}{beside}").unlink(missing_ok=True)
    except OSError as exc:
        _LOG.warning("catalogue_stays path=%s problem=%r", path, str(exc))
        return False
    return True
