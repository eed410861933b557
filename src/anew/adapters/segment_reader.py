"""Reads the segment files of all journals for the drainer, and trims what is stored elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from anew.adapters.local_disk import LocalDisk
from anew.adapters.segment_format import HEADER_BYTES, Group, Header, Record, read_group
from anew.domain.errors import ConflictError, IntegrityError
from anew.domain.observation import Observation, Prediction, ShadowAnswer
from anew.ports.disk import Disk

__all__ = ["CLOCK", "NEVER", "SegmentBatch", "SegmentReader", "scan", "segments"]

LOST = "lost"
"""The shadow problem of a prediction whose challenger's answer never came to the journal."""

CLOCK = "clock"
"""File beside the segments of a copy: the instant up to which it has what its host wrote."""

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""In it before anything else, and meant where it is missing or cannot be read: nothing is given up."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentBatch:
    """What was read from a journal in one go; see `anew.ports.journal.Batch`."""

    journal: str
    position: int
    observations: Sequence[Observation]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in which segment the group lies that holds what follows a position."""

    path: Path
    offset: int


@dataclass(slots=True)
class SegmentReader:
    """A `JournalReader` over the folders in `root`; not thread-safe, for the one drainer.

    Parameters
    ----------
    hold
        How long an open prediction waits for its shadow answer, by `received_at`; far above the gateway's deadline.
    ahead
        How many records behind the batch are searched for shadow answers.
    now
        The wall clock, which judges `hold`; a copy of another host's journal is judged by how far it has come.
    """

    root: Path
    disk: Disk = field(default_factory=LocalDisk)
    hold: timedelta = timedelta(seconds=5)
    ahead: int = 20_000
    now: Callable[[], datetime] = _now
    _places: dict[str, tuple[int, _Place] | None] = field(default_factory=dict, init=False)

    def journals(self) -> Sequence[str]:
        """Names of the journals that exist, sorted."""
        if not self.root.is_dir():
            return ()
        return sorted(folder.name for folder in self.root.iterdir() if folder.is_dir() and segments(folder))

    def read(self, journal: str, *, after: int, most: int) -> SegmentBatch:
        """Return the next observations; see `anew.ports.journal.JournalReader`."""
        now = self._now_of(journal)  # before the records: what came in between is there when it says so
        try:
            records, places = self._records(journal, after, most)
        except FileNotFoundError as exc:
            raise ConflictError(f"journal {journal} was trimmed while it was read: another process drains it") from exc
        shadows = {record.prediction: record for _, record in records if isinstance(record, ShadowAnswer)}
        position = after
        observations: list[Observation] = []
        for seq, record in records:
            if isinstance(record, ShadowAnswer):
                position = seq
                continue
            if len(observations) >= most:
                break
            observation: Observation = record
            if isinstance(record, Prediction) and _open(record):
                if record.id not in shadows and now - record.received_at < self.hold:
                    break
                observation = _completed(record, shadows.get(record.id))
            observations.append(observation)
            position = seq
        self._places[journal] = next(
            ((position, place) for first, place in reversed(places) if first <= position), None
        )
        return SegmentBatch(journal=journal, position=position, observations=tuple(observations))

    def trim(self, journal: str, *, upto: int) -> None:
        """Delete whole segments, oldest first, never the newest: it carries the numbering on."""
        folder = self.root / journal
        found = segments(folder)
        for path, follower in pairwise(found):
            header = self._header(follower)
            if header is None or header.previous > upto:
                break
            self.disk.remove(path)
        self.disk.sync_folder(folder)
        self._places.pop(journal, None)

    def _now_of(self, journal: str) -> datetime:
        """Return the wall clock; for a copy, whose name is ``HOST.WORKER``, how far it has come by its host's clock."""
        if "." not in journal:
            return self.now()
        try:
            at = datetime.fromisoformat((self.root / journal / CLOCK).read_text("ascii"))
        except (OSError, ValueError):
            return NEVER
        return NEVER if at.tzinfo is None else at

    def _records(
        self, journal: str, after: int, most: int
    ) -> tuple[list[tuple[int, Record]], list[tuple[int, _Place]]]:
        """Return records above `after` with `most` observations, and more as long as one among them is open.

        Beside them, where each group begins: (its first sequence number, its place).
        """
        records: list[tuple[int, Record]] = []
        places: list[tuple[int, _Place]] = []
        waiting: set[str] = set()
        observed = 0
        for place, group in self._groups(journal, after):
            places.append((group.first, place))
            for seq, record in _named(journal, place, group.records(after)):
                records.append((seq, record))
                if isinstance(record, ShadowAnswer):
                    waiting.discard(record.prediction)
                    continue
                observed += 1
                if observed <= most and isinstance(record, Prediction) and _open(record):
                    waiting.add(record.id)
            if observed >= most and (not waiting or observed >= most + self.ahead):
                break
        return records, places

    def _groups(self, journal: str, after: int) -> Iterator[tuple[_Place, Group]]:
        """Yield the groups that hold anything above `after`, checking that nothing between is missing."""
        folder = self.root / journal
        found = [(path, header) for path in segments(folder) if (header := self._header(path)) is not None]
        position, place = self._places.get(journal) or (-1, None)
        reached = after if position == after else 0
        if found and found[0][1].previous > after:
            raise IntegrityError(
                f"journal {journal}: records {after + 1} to {found[0][1].previous} are gone, its oldest segment is "
                f"{found[0][0]}; restore the older ones"
            )
        for index, (path, header) in enumerate(found):
            follower = found[index + 1][1] if index + 1 < len(found) else None
            if follower is not None and follower.previous <= after:
                continue
            known = place is not None and position == after and place.path == path
            begin = (place.offset, after) if known and place is not None else (HEADER_BYTES, header.previous)
            for where, group in self._segment(path, header, follower, begin):
                reached = max(reached, group.last)
                if group.count and group.last > after:
                    yield where, group
            reached = max(reached, header.previous)
        if reached < after:
            raise IntegrityError(
                f"journal {journal} ends at {reached}, and the lake has its records up to {after}: its end was lost, "
                "and with it what was acknowledged and not stored; put back a copy of its newest segment, or, if there "
                "is none, start its gateway, which goes on behind what is stored (where no gateway writes it any more, "
                f"move {folder} away: its rows are in the lake)"
            )

    def _segment(
        self, path: Path, header: Header, follower: Header | None, begin: tuple[int, int]
    ) -> Iterator[tuple[_Place, Group]]:
        """Yield the groups of one segment from (offset, last number before it) up to where the next follows on."""
        base, last = begin
        data = self._bytes(path, base, follower)
        offset = base
        while follower is None or last < follower.previous:
            try:
                group = read_group(header, data, offset - base, base, str(path))
            except IntegrityError:
                # groups are written over zeros: this one may have been there in part when a later one was read, which
                # was begun when this one was whole
                data, base = self._bytes(path, offset, follower), offset
                group = read_group(header, data, 0, base, str(path))
            if group is None:
                break
            yield _Place(path, offset), group
            last, offset = max(last, group.last), group.end
        if follower is not None and last < follower.previous:
            raise IntegrityError(
                f"journal segment {path}: whole up to record {last} at offset {offset}, but {follower.previous} was "
                "acknowledged; restore the file from a copy"
            )

    def _bytes(self, path: Path, base: int, follower: Header | None) -> bytes:
        """Return what a segment holds from `base` on."""
        descriptor = self.disk.open(path)
        try:
            data = self.disk.read(descriptor, base)
            if follower is None:  # what is read may be trimmed elsewhere: it must not vanish with the power
                self.disk.sync(descriptor)
        finally:
            self.disk.close(descriptor)
        return data

    def written(self, path: Path) -> int:
        """Return the offset up to which a segment holds groups that are whole; those never change any more."""
        header, end = self._header(path), HEADER_BYTES
        if header is None:
            return 0
        for _, group in self._segment(path, header, None, (HEADER_BYTES, header.previous)):
            end = group.end
        return end

    def _header(self, path: Path) -> Header | None:
        descriptor = self.disk.open(path)
        try:
            return Header.decode(self.disk.read(descriptor, 0, HEADER_BYTES + 1), str(path))
        finally:
            self.disk.close(descriptor)


def segments(folder: Path) -> list[Path]:
    """Return the segment files of a journal, oldest first."""
    return sorted(folder.glob("*.seg")) if folder.is_dir() else []


def scan(header: Header, data: bytes, file: str) -> tuple[int, int]:
    """Return (offset behind the last whole group, last sequence number in it, 0 for none) of a segment's bytes."""
    offset, last = HEADER_BYTES, 0
    while (group := read_group(header, data, offset, 0, file)) is not None:
        offset = group.end
        last = max(last, group.last if group.count else 0)
    return offset, last


def _named(journal: str, place: _Place, records: Iterator[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    """Yield the records of a group, and say of one that cannot be read whose it is."""
    try:
        yield from records
    except IntegrityError as exc:
        raise IntegrityError(
            f"journal {journal}: {exc}, in the group at offset {place.offset} of {place.path}; nothing behind it is "
            "drained until the file is restored, or taken out with its host"
        ) from exc


def _open(prediction: Prediction) -> bool:
    return bool(prediction.shadow_version) and prediction.shadow is None and not prediction.shadow_problem


def _completed(prediction: Prediction, shadow: ShadowAnswer | None) -> Prediction:
    if shadow is None:
        return replace(prediction, shadow_problem=LOST)
    return replace(prediction, shadow=shadow.answer, shadow_problem=shadow.problem)
