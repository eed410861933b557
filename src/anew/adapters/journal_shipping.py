"""The journals of a replica of the gateway, brought through a bucket to the project that drains them.

Bytes are copied, whole groups of them and only what is synced: the copy is read by the same reader, and each record is
stored once, since it keeps its number. What was brought twice, or half, changes nothing.
"""

import logging
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from anew.adapters.local_disk import LocalDisk
from anew.adapters.replica_bucket import NOTHING, Chunk, Held, ReplicaBucket, Word
from anew.adapters.segment_format import HEADER_BYTES, Header, read_group
from anew.adapters.segment_reader import CLOCK, NEVER, SegmentReader, scan, segments
from anew.domain.errors import ConflictError, IntegrityError

__all__ = ["JournalReceiver", "JournalShipper", "shipped_upto"]

_LOG = logging.getLogger("anew.replica")
_CHUNK_BYTES: Final = 4 << 20
_MOST_CHUNKS: Final = 16
"""Taken over from one journal in one turn, so that no host waits long to be heard."""
_SHIPPED: Final = "shipped"
"""File beside the segments of a host's journal: the number up to which it was shipped."""
_COPIED: Final = (
    "a copy of this folder is in use on another host: end one of them, and let it begin with an empty folder"
)
_Place = tuple[int, int]


@dataclass(slots=True)
class JournalShipper:
    """A host's half: ships what is in its journals, and trims them as far as the project allows. Not thread-safe.

    It goes on where the project says that its copy ends. When the project says less than before (it was restored from a
    backup), everything from there on is shipped again. Of two that bear one name the one begun last goes on, and the
    other finds that out at its next turn.

    Parameters
    ----------
    host
        Its name, which is this folder's alone.
    root
        The folder of the journals.
    """

    place: ReplicaBucket
    host: str
    root: Path
    disk: LocalDisk = field(default_factory=LocalDisk)
    heard: datetime | None = field(default=None, init=False)
    _run: str = field(default_factory=lambda: secrets.token_hex(16), init=False)
    _begun: bool = field(default=False, init=False)
    _word: Word | None = field(default=None, init=False)
    _next: dict[str, _Place] = field(default_factory=dict, init=False)

    def turn(self) -> int:
        """Hear the project's word and ship what there is; returns how many bytes were.

        Raises
        ------
        UnavailableError
            The bucket does not answer; the next turn goes on.
        ConflictError
            Somebody else ships under this name: a copy of this folder is in use elsewhere.
        IntegrityError
            A journal is damaged, or the word is not the project's.
        """
        self._alone()
        self._hear()
        reader = SegmentReader(self.root, self.disk)
        shipped = sum(self._ship(journal) for journal in reader.journals())
        for journal in reader.journals():
            reader.trim(journal, upto=self._held(journal).trimmed)
        return shipped

    def _alone(self) -> None:
        """Take the name at first, and again where the bucket has lost it; else see that nobody has taken it since.

        What lost the name may have lost what lay there as well: each journal goes on where the project says.
        """
        if not self._begun:
            self.place.begin(self.host, self._run)
            self._begun = True
            return
        taken = self.place.begun(self.host)
        if not taken and self.place.take(self.host, self._run):
            self._next.clear()
        elif taken != self._run:
            raise ConflictError(f"{self.host} was started again elsewhere; {_COPIED}")

    def _hear(self) -> None:
        word, before = self.place.word(self.host), self._word
        if word is None or (before is not None and word.at == before.at):
            return
        self._word = word
        for journal in set(self._next):
            held = self._held(journal)
            then = NOTHING if before is None else before.journals.get(journal, NOTHING)
            if (held.first, held.size) < (then.first, then.size):
                _LOG.warning("shipped_again journal=%s from=%d+%d", journal, held.first, held.size)
                for chunk in self.place.shipped(self.host, journal):
                    self.place.remove(chunk)
                self._next[journal] = (held.first, held.size)
        self.heard = word.at

    def _held(self, journal: str) -> Held:
        return NOTHING if self._word is None else self._word.journals.get(journal, NOTHING)

    def _ship(self, journal: str) -> int:
        if journal not in self._next:
            self._next[journal] = self._resumed(journal)
        shipped = 0
        for path in segments(self.root / journal):
            first = int(path.stem)
            place, offset = self._next[journal]
            if first < place:
                continue
            offset = offset if first == place else 0
            while (found := self._read(path, offset))[0]:
                data, last = found
                chunk = Chunk(self.host, journal, first, offset)
                offset += len(data) if self.place.ship(chunk, data) else self._there(chunk, path)
                shipped += len(data)
                self._next[journal] = (first, offset)
                _note_shipped(path.parent, last)
        return shipped

    def _resumed(self, journal: str) -> _Place:
        """Return where to go on: behind what the project has, and what lies there for it."""
        held = self._held(journal)
        place = (held.first, held.size)
        there = {(each.first, each.offset): each for each in self.place.shipped(self.host, journal)}
        for path in segments(self.root / journal):
            first = int(path.stem)
            if first < place[0]:
                continue
            place = place if first == place[0] else (first, 0)
            while (chunk := there.get(place)) is not None and (length := self._there(chunk, path)):
                place = (first, place[1] + length)
            if place[1] < path.stat().st_size:
                break  # the rest of it comes before what may lie there of the next
        return place

    def _there(self, chunk: Chunk, path: Path) -> int:
        """Return the length of what has a chunk's place already, which must be ours: an earlier, shorter one."""
        there = self.place.shipment(chunk)
        if there is None:
            return 0
        with path.open("rb") as file:
            file.seek(chunk.offset)
            mine = file.read(len(there))
        if not there or mine != there:
            raise ConflictError(f"{chunk.name} in {self.place.bucket.url} is not from here; {_COPIED}")
        return len(there)

    def _read(self, path: Path, offset: int) -> tuple[bytes, int]:
        """Return the next whole groups of a segment, synced, and their last number; nothing where there are none."""
        try:
            return self._whole(path, offset)
        except IntegrityError:  # a group may have been half there when a later one was read; see `SegmentReader`
            return self._whole(path, offset)

    def _whole(self, path: Path, offset: int) -> tuple[bytes, int]:
        descriptor = self.disk.open(path)
        try:
            if os.fstat(descriptor).st_size <= max(offset, HEADER_BYTES):
                return b"", 0
            header = Header.decode(self.disk.read(descriptor, 0, HEADER_BYTES + 1), str(path))
            data = self.disk.read(descriptor, offset)
            self.disk.sync(descriptor)
        finally:
            self.disk.close(descriptor)
        end = max(offset, HEADER_BYTES)
        begin, last = end, 0
        while header is not None and end - offset < _CHUNK_BYTES:
            try:
                group = read_group(header, data, end - offset, offset, str(path))
            except IntegrityError:
                if end == begin:
                    raise
                break  # the next read begins there
            if group is None:
                break
            end, last = group.end, group.last if group.count else last  # a mark without records may be ahead of them
        return (data[: end - offset], last) if end > begin else (b"", 0)


@dataclass(slots=True)
class JournalReceiver:
    """The project's half: appends what hosts shipped to copies, one folder ``HOST.WORKER`` each. Not thread-safe.

    Parameters
    ----------
    root
        The folder of the project's journals, which its drainer reads.
    now
        The wall clock.
    """

    place: ReplicaBucket
    root: Path
    now: Callable[[], datetime]
    _begun: dict[str, datetime] = field(default_factory=dict, init=False)
    _cut: set[Path] = field(default_factory=set, init=False)

    def turn(self, host: str, chunks: tuple[Chunk, ...], *, heard: datetime | None, whole: datetime) -> bool:
        """Take over one host's `chunks`, some of each journal, then say how far the project has its journals.

        Returns whether there is more to take over at once.

        Parameters
        ----------
        heard
            Which word of ours it obeyed last. A journal that is new here is not begun before: what lies there may be
            the middle of it.
        whole
            Everything that it wrote before, by its own clock, is among the chunks or came earlier.

        Raises
        ------
        UnavailableError
            The bucket does not answer, or this disk takes nothing; the next turn goes on.
        """
        self._cut_torn(host)
        obeyed = host in self._begun and heard is not None and heard >= self._begun[host]
        done: list[Chunk] = []
        more, behind = False, set[Path]()
        for worker in sorted({each.worker for each in chunks}):
            folder = self.root / f"{host}.{worker}"
            if not obeyed and not segments(folder):
                continue
            mine = [each for each in chunks if each.worker == worker]
            try:
                for chunk in mine[:_MOST_CHUNKS]:
                    self._take(folder, chunk)
                    done.append(chunk)
                if len(mine) > _MOST_CHUNKS:
                    more = True
                    behind.add(folder)
            except IntegrityError as exc:
                behind.add(folder)
                _LOG.error("journal_not_taken_over host=%s worker=%s problem=%s", host, worker, exc)
        self._say(host)
        for chunk in done:
            self.place.remove(chunk)
        for folder in self.root.glob(f"{host}.*"):
            if folder not in behind and segments(folder):
                _set_clock(folder, whole)
        return more

    def _cut_torn(self, host: str) -> None:
        """Cut off, once in a run, what a loss of power left behind the last whole group of a copy: it is sent again."""
        for folder in set(self.root.glob(f"{host}.*")) - self._cut:
            present = segments(folder)
            try:
                if present:
                    _cut_off(present[-1])
            except IntegrityError as exc:
                _LOG.error("copy_damaged host=%s problem=%s", host, exc)
            self._cut.add(folder)

    def _take(self, folder: Path, chunk: Chunk) -> None:
        """Append a chunk, durable on return; without effect where its bytes are there, or are no longer needed."""
        path = folder / f"{chunk.first:020d}.seg"
        present = segments(folder)
        if path not in present and present and int(present[-1].stem) > chunk.first:
            return
        data = self.place.shipment(chunk)
        if data is None:
            raise IntegrityError(f"{chunk.name} is gone from {self.place.bucket.url}")
        if path not in present:
            _follows_on(data, chunk, present[-1] if present else None)
        if not present:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _set_clock(folder, NEVER)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if chunk.offset > size:
                raise IntegrityError(f"{chunk.name} begins at {chunk.offset}, the copy ends at {size}: some is missing")
            known = os.pread(descriptor, len(data), chunk.offset)
            if known != data[: len(known)]:
                raise IntegrityError(f"{chunk.name} differs from the copy {path}: two hosts bear one name")
            rest = memoryview(data)[len(known) :]
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path not in present:
            LocalDisk().sync_folder(folder)
            LocalDisk().sync_folder(self.root)

    def _say(self, host: str) -> None:
        """Say how far the project has each journal of a host."""
        folders = sorted(self.root.glob(f"{host}.*"))
        held = {folder.name.partition(".")[2]: _held(folder) for folder in folders if segments(folder)}
        word = Word(host=host, at=self.now(), journals=held)
        self.place.put_word(word)
        self._begun.setdefault(host, word.at)


def shipped_upto(folder: Path) -> int:
    """Return the number up to which the journal in `folder` was shipped, 0 for none; from there on none is given twice.

    A number lost is no harm as long as the journal is whole.
    """
    try:
        return int((folder / _SHIPPED).read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _note_shipped(folder: Path, last: int) -> None:
    if last <= shipped_upto(folder):
        return
    draft = folder / f".{_SHIPPED}.new"
    with suppress(OSError):  # a full disk keeps nothing from being shipped, after which it may be trimmed
        draft.write_text(str(last), "ascii")
        draft.replace(folder / _SHIPPED)


def _cut_off(path: Path) -> None:
    """End a segment behind its last whole group, durable on return; without a header it is none, and goes."""
    data, disk = path.read_bytes(), LocalDisk()
    header = Header.decode(data, str(path)) if data[:HEADER_BYTES].strip(b"\0") else None
    end = 0 if header is None else scan(header, data, str(path))[0]
    if header is not None and end == len(data):
        return
    _LOG.warning("copy_cut file=%s from=%d to=%d", path, len(data), end)
    if header is None:
        disk.remove(path)
        disk.sync_folder(path.parent)
        return
    descriptor = disk.open(path)
    try:
        disk.truncate(descriptor, end)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)


def _follows_on(data: bytes, chunk: Chunk, newest: Path | None) -> None:
    """See that a segment begins at its beginning, and that the one before it is whole."""
    header = Header.decode(data[: HEADER_BYTES + 1], chunk.name) if chunk.offset == 0 else None
    if header is None or header.first != chunk.first:
        raise IntegrityError(f"{chunk.name} does not begin a segment")
    if newest is None:
        return
    before = newest.read_bytes()
    known = Header.decode(before[: HEADER_BYTES + 1], str(newest))
    last = 0 if known is None else max(known.previous, scan(known, before, str(newest))[1])
    if last < header.previous:
        raise IntegrityError(f"{chunk.name} follows record {header.previous}, the copy {newest} ends at {last}")
    if last >= header.first:
        raise IntegrityError(
            f"{chunk.name} gives numbers from {header.first} on, and the copy {newest} has others up to {last}: the "
            "host's folder was put back to an older state; end that gateway, begin it with an empty folder, and keep "
            "the old one, whose journal alone has what was acknowledged since"
        )


def _held(folder: Path) -> Held:
    present = segments(folder)
    with present[0].open("rb") as file:
        header = Header.decode(file.read(HEADER_BYTES + 1), str(present[0]))
    return Held(
        first=int(present[-1].stem),
        size=present[-1].stat().st_size,
        trimmed=0 if header is None else header.previous,
    )


def _set_clock(folder: Path, at: datetime) -> None:
    """Replace a copy's clock, its bytes durable before its name is; an older one is no harm."""
    draft = folder / f".{CLOCK}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(at.isoformat().encode("ascii"))
        file.flush()
        os.fsync(descriptor)
    draft.replace(folder / CLOCK)
