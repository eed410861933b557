"""The bytes of a journal segment: one header, then groups, each written by one write and made durable by one sync.

header  ``magic 8 | schema u16 | salt 8 | first u64 | previous u64 | crc u32``
group   ``magic 4 | length u32 | first u64 | count u32 | crc u32`` then `length` bytes of records
record  ``kind u8 | length u32`` then msgpack

While a segment is being written, zeros may follow its last group: what the next ones are written over.
All numbers are big-endian. A group's crc begins from the salt, so bytes that a caller sent never pass for a group. At
most the last group of a segment can be unsynced: a bad one with a good one after it is damage, not a torn tail.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Final

import msgspec

from anew.domain.errors import IntegrityError
from anew.domain.observation import FeedbackEvent, Label, Observation, Prediction, ShadowAnswer

__all__ = ["GROUP_BYTES", "HEADER_BYTES", "Group", "Header", "Record", "encode_group", "encode_record", "read_group"]

Record = Observation | ShadowAnswer

SCHEMA: Final = 1
_HEADER: Final = struct.Struct(">8sH8sQQ")
_GROUP: Final = struct.Struct(">4sIQI")
_CRC: Final = struct.Struct(">I")
_RECORD: Final = struct.Struct(">BI")
_FILE_MAGIC: Final = b"anewjrnl"
# 0xC1 is used by no msgpack type and no UTF-8 text, so the search for a later group rarely meets it by accident
_GROUP_MAGIC: Final = b"\xc1anw"
HEADER_BYTES: Final = _HEADER.size + _CRC.size
GROUP_BYTES: Final = _GROUP.size + _CRC.size

_KINDS: Final[tuple[type[Record], ...]] = (Prediction, Label, ShadowAnswer, FeedbackEvent)
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODERS: Final[tuple[msgspec.msgpack.Decoder[Record], ...]] = tuple(msgspec.msgpack.Decoder(kind) for kind in _KINDS)
_LAST: Final = (1 << 63) - 1
_UNREADABLE: Final = (
    struct.error,
    msgspec.MsgspecError,
    LookupError,
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
)
"""What decoding raises for bytes that no gateway wrote; those of other hosts come through a bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """How a segment begins.

    Attributes
    ----------
    first
        Sequence number of its first record, and its name.
    previous
        Last acknowledged sequence number before this segment; what an older segment holds beyond it does not count.
    salt
        Eight random bytes.
    """

    first: int
    previous: int
    salt: bytes

    def encode(self) -> bytes:
        """Return the header's bytes."""
        head = _HEADER.pack(_FILE_MAGIC, SCHEMA, self.salt, self.first, self.previous)
        return head + _CRC.pack(zlib.crc32(head))

    @classmethod
    def decode(cls, data: bytes, file: str) -> "Header | None":
        """Read the header of `file`; None when its writing was cut short, before anything followed it.

        Raises
        ------
        IntegrityError
            The header is damaged, or of a schema that this program does not know.
        """
        head, tail = data[: _HEADER.size], data[_HEADER.size : HEADER_BYTES]
        if len(tail) < _CRC.size or _CRC.unpack(tail)[0] != zlib.crc32(head):
            if len(data) <= HEADER_BYTES:
                return None
            raise IntegrityError(f"journal segment {file}: the header at offset 0 is damaged; restore the file")
        magic, schema, salt, first, previous = _HEADER.unpack(head)
        if magic != _FILE_MAGIC or schema != SCHEMA:
            raise IntegrityError(
                f"journal segment {file} has format {magic!r} schema {schema}, this program reads "
                f"{_FILE_MAGIC!r} schema {SCHEMA}; use the release that wrote it"
            )
        return cls(first=first, previous=previous, salt=salt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One commit: `count` records from sequence number `first`, in `payload`; `end` is the offset behind it."""

    first: int
    count: int
    payload: bytes
    end: int

    @property
    def last(self) -> int:
        """Sequence number of the last record; of the mark that ends a closed segment, the one before it."""
        return self.first + self.count - 1

    def records(self, after: int = 0) -> Iterator[tuple[int, Record]]:
        """Yield (sequence number, record) for the records above `after`.

        Raises
        ------
        IntegrityError
            A record is none of ours, though its group is whole: who wrote it is no gateway of this release.
        """
        if self.last > _LAST:
            raise IntegrityError(f"journal records {self.first} to {self.last}: no journal has so many")
        at, view = 0, memoryview(self.payload)
        for seq in range(self.first, self.first + self.count):
            try:
                kind, length = _RECORD.unpack_from(view, at)
                at += _RECORD.size
                record = _decoded(kind, view[at : at + length]) if seq > after else None
            except _UNREADABLE as exc:
                raise IntegrityError(f"journal record {seq} cannot be read: {exc!r}") from exc
            if record is not None:
                yield seq, record
            at += length


def _decoded(kind: int, body: memoryview) -> Record:
    """Return a record whose instants and numbers the lake can hold."""
    record = _DECODERS[kind].decode(body)
    if isinstance(record, ShadowAnswer):
        return record
    for at in (record.at, record.received_at):
        if at.tzinfo is None:
            raise ValueError("an instant without an offset from UTC")
        if at.tzinfo is not UTC:
            at.astimezone(UTC)  # raises for one that is beyond the years there
    if isinstance(record, Prediction):
        greatest = max(record.epoch, record.latency_us)
    else:
        greatest = record.revision if isinstance(record, Label) else 0
    if greatest > _LAST:
        raise ValueError(f"{greatest} is no number of 64 bits with a sign")
    return record


def encode_record(record: Record) -> bytes:
    """Return the bytes of one record."""
    body = _ENCODER.encode(record)
    return _RECORD.pack(_KINDS.index(type(record)), len(body)) + body


def encode_group(header: Header, first: int, payload: bytes, count: int) -> bytes:
    """Return the bytes of a group of `count` encoded records; of no records, the mark that ends a closed segment."""
    head = _GROUP.pack(_GROUP_MAGIC, len(payload), first, count)
    return head + _CRC.pack(_crc(header, head, payload)) + payload


def read_group(header: Header, data: bytes, at: int, base: int, file: str) -> Group | None:
    """Read the group at index `at` of `data`, the bytes of `file` from offset `base` on; None where it is not whole.

    Raises
    ------
    IntegrityError
        The group is damaged and a whole one follows.
    """
    group = _whole(header, data, at, base)
    if group is not None or at >= len(data):
        return group
    later = data.find(_GROUP_MAGIC, at + 1)
    while later >= 0:
        if (follower := _whole(header, data, later, base)) is not None:
            raise IntegrityError(
                f"journal segment {file}: the group at offset {base + at} is damaged although a whole one (from number "
                f"{follower.first}) follows at offset {base + later}; restore the file from a copy"
            )
        later = data.find(_GROUP_MAGIC, later + 1)
    return None


def _whole(header: Header, data: bytes, at: int, base: int) -> Group | None:
    start = at + GROUP_BYTES
    if start > len(data):
        return None
    head = data[at : at + _GROUP.size]
    magic, length, first, count = _GROUP.unpack(head)
    if magic != _GROUP_MAGIC or start + length > len(data):
        return None
    payload = data[start : start + length]
    if _CRC.unpack_from(data, at + _GROUP.size)[0] != _crc(header, head, payload):
        return None
    return Group(first=first, count=count, payload=payload, end=base + start + length)


def _crc(header: Header, head: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(head, zlib.crc32(header.salt)))
