"""The gateway's journal in segment files: acknowledged means synced, one sync for all who wait."""

import fcntl
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from anew.adapters.local_disk import LocalDisk
from anew.adapters.segment_format import Header, Record, encode_group, encode_record
from anew.adapters.segment_reader import SegmentReader, scan, segments
from anew.domain.errors import ConflictError, UnavailableError
from anew.ports.disk import Disk

__all__ = ["SegmentJournal", "SegmentReader"]

_LOG = logging.getLogger("anew.gateway")
_AHEAD_BYTES: Final = 1 << 20


@dataclass(slots=True)
class _Waiting:
    """Encoded records of one call on their way to the disk, and how it ended."""

    payload: bytes
    count: int
    done: bool = False
    last: int = 0
    problem: OSError | None = None  # UnavailableError is one


@dataclass(slots=True)
class _Segment:
    """The segment being written: `end` is the offset up to which it is synced, from there to `laid` it has zeros."""

    descriptor: int
    header: Header
    end: int
    path: Path
    laid: int


@dataclass(slots=True)
class SegmentJournal:
    """A `Journal` in `folder`: segment files named by the sequence number that they begin with.

    Thread-safe; one process at a time (ConflictError for a second). Whoever comes while a sync is under way joins the
    next one. A torn tail is cut off on opening; a damaged middle raises IntegrityError, and nothing is written. Where
    the segments end before what is stored elsewhere, their end was lost: the numbers go on behind what is stored.

    Parameters
    ----------
    folder
        Its name is the journal's.
    most_bytes
        Bound on all segments together; above it `append` raises UnavailableError until the drainer has trimmed.
    segment_bytes
        A segment that has reached it is closed and another begun.
    ahead_bytes
        Zeros laid out at a time for the next groups. To sync a file that has grown takes a commit of the file system's
        own journal as well, which is many times slower than the bytes alone.
    stored
        Up to which number its records are stored elsewhere: whoever stored them takes no such number again.
    disk
        The file operations.
    """

    folder: Path
    most_bytes: int = 1 << 30
    segment_bytes: int = 16 << 20
    ahead_bytes: int = _AHEAD_BYTES
    stored: int = 0
    disk: Disk = field(default_factory=LocalDisk)
    torn_bytes: int = field(default=0, init=False)
    _lock: int = field(default=-1, init=False)
    _queue: list[_Waiting] = field(default_factory=list, init=False)
    _queueing: threading.Lock = field(default_factory=threading.Lock, init=False)
    _writing: threading.Lock = field(default_factory=threading.Lock, init=False)
    _segment: _Segment | None = field(default=None, init=False)
    _last: int = field(default=0, init=False)
    _next: int = field(default=1, init=False)
    _bytes: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.disk.sync_folder(self.folder.parent)
        self._lock = _lock(self.folder)
        try:
            self._recover()
            self._go_on()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def last(self) -> int:
        """Sequence number of the last acknowledged record, 0 for none ever."""
        return self._last

    def append(self, observations: Sequence[Record]) -> int:
        """Write and sync; see `anew.ports.journal.Journal`."""
        return self.append_encoded(b"".join(map(encode_record, observations)), len(observations))

    def append_encoded(self, payload: bytes, count: int) -> int:
        """Do what `append` does with `count` records that are encoded, one after the other."""
        if not count:
            return self._last
        waiting = _Waiting(payload, count)
        with self._queueing:
            self._queue.append(waiting)
        with self._writing:
            if not waiting.done:
                with self._queueing:
                    group, self._queue = self._queue, []
                self._commit(group)
        if waiting.problem is not None:
            raise UnavailableError(
                f"the journal {self.folder.name} could not take {count} records: {waiting.problem}; they "
                "count as not written: free space or mend the disk, writing resumes by itself"
            ) from waiting.problem
        return waiting.last

    def close(self) -> None:
        """Mark the segment as ended, sync, close and let go of the folder."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            try:
                if self._segment is not None:
                    self._write(b"", 0)
                    self.disk.truncate(self._segment.descriptor, self._segment.end)
            except OSError:
                pass  # what was acknowledged is synced already; the mark only sharpens the next opening's check
            finally:
                self._leave()
                os.close(self._lock)

    def _recover(self) -> None:
        """Find where to go on: verify the last segment, cut off its torn tail, make what is kept durable."""
        found = segments(self.folder)
        self._bytes = sum(path.stat().st_size for path in found)
        while found:
            path = found.pop()
            descriptor = self.disk.open(path)
            try:
                data = self.disk.read(descriptor, 0)
                header = Header.decode(data, str(path))
                if header is None:  # its creation was cut short: nothing was ever acknowledged in it
                    self.disk.remove(path)
                    self._bytes -= len(data)
                    continue
                end, last = scan(header, data, str(path))
                if end < len(data):
                    self.torn_bytes = len(data[end:].rstrip(b"\0"))
                    self.disk.truncate(descriptor, end)
                    self._bytes -= len(data) - end
                self.disk.sync(descriptor)
            finally:
                self.disk.close(descriptor)
            self.disk.sync_folder(self.folder)
            self._last = max(last, header.previous)
            self._next = max(last, header.first) + 1
            return

    def _go_on(self) -> None:
        """Begin a segment behind what is stored, at once, where the segments that are left end before it."""
        if self._last >= self.stored or self._next > self.stored:  # no number is given twice
            return
        _LOG.error(
            "journal_cut journal=%s ends=%d stored=%d what=its end was lost, and with it what was acknowledged and not "
            "stored; it goes on behind what is stored",
            self.folder.name,
            self._last,
            self.stored,
        )
        self._last, self._next = self.stored, max(self._next, self.stored + 1)
        with suppress(OSError):  # the first group begins it then
            self._segment = self._begin()

    def _commit(self, group: list[_Waiting]) -> None:
        problem: OSError | None = None
        first = 0
        try:
            if self._closed:
                raise UnavailableError("it is closed")
            first = self._write(b"".join(waiting.payload for waiting in group), sum(each.count for each in group))
        except OSError as exc:
            problem = exc
        for waiting in group:
            waiting.done, waiting.problem = True, problem
            first += waiting.count
            waiting.last = first - 1

    def _write(self, payload: bytes, count: int) -> int:
        """Write and sync one group; returns its first sequence number."""
        segment = self._ready(len(payload))
        first = self._next
        data = encode_group(segment.header, first, payload, count)
        if count:
            self._lay_out(segment, len(data))
        try:
            self._put(segment, data, segment.end)
        except OSError:
            self._cut(segment)
            raise
        try:
            self.disk.sync(segment.descriptor)
        except OSError:
            # After a failed sync nobody knows what is on the medium: these numbers and this file are never used again.
            self._next += count
            self._leave()
            raise
        segment.end += len(data)
        self._bytes += len(data)
        self._next += count
        self._last = self._next - 1
        return first

    def _ready(self, size: int) -> _Segment:
        """Return a segment to write to, with `size` bytes left under the bound."""
        if self._bytes + size > self.most_bytes:
            laid = 0 if self._segment is None else self._segment.laid - self._segment.end
            self._bytes = sum(path.stat().st_size for path in segments(self.folder)) - laid
            if self._bytes + size > self.most_bytes:
                raise UnavailableError(f"it holds {self._bytes} of at most {self.most_bytes} bytes and was not drained")
        if self._segment is not None and self._segment.end >= self.segment_bytes:
            self._leave()
        if self._segment is None:
            self._segment = self._begin()
        return self._segment

    def _begin(self) -> _Segment:
        header = Header(first=self._next, previous=self._last, salt=os.urandom(8))
        path = self.folder / f"{header.first:020d}.seg"
        descriptor = self.disk.create(path)
        try:
            data = header.encode()
            segment = _Segment(descriptor, header, len(data), path, laid=len(data))
            self._put(segment, data, 0)
            self.disk.sync(descriptor)
            self.disk.sync_folder(self.folder)
        except OSError:
            self._next += 1  # the name may have reached the medium
            self.disk.close(descriptor)
            self.disk.remove(path)
            raise
        self._bytes += len(data)
        return segment

    def _lay_out(self, segment: _Segment, size: int) -> None:
        """Have zeros where a group of `size` bytes and those after it go, as far as the bounds allow."""
        least, most = segment.end + size, max(segment.end, self.segment_bytes)
        upto = min(least + self.ahead_bytes, most, segment.end + self.most_bytes - self._bytes)
        if least <= segment.laid or upto <= least:
            return
        try:
            self._put(segment, bytes(upto - segment.laid), segment.laid)
        except OSError:  # the group itself may have room yet
            self._cut(segment)

    def _put(self, segment: _Segment, data: bytes, at: int) -> None:
        view, end = memoryview(data), at + len(data)
        while at < end:
            at += self.disk.write(segment.descriptor, bytes(view[at - end :]), at)
        segment.laid = max(segment.laid, end)

    def _cut(self, segment: _Segment) -> None:
        """Take back a write that ended half-way, with all that was laid out; or leave the segment and raise OSError."""
        try:
            self.disk.truncate(segment.descriptor, segment.end)
        except OSError:
            self._leave()
            raise
        segment.laid = segment.end

    def _leave(self) -> None:
        """Never write to the present segment again."""
        if self._segment is not None:
            if self._segment.header.first == self._next:
                self._next += 1  # an empty segment keeps its name
            self.disk.close(self._segment.descriptor)
            self._segment = None


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise ConflictError(
            f"the journal {folder} is being written by another process; give each worker its own"
        ) from exc
    return descriptor
