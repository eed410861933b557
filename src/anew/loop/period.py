"""Sums of windows in memory: an objective over a period reads the rows of each of its windows once."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from anew.domain.interval import Interval
from anew.loop.measure import sums_of_window
from anew.monitor import Detectors, ScoredRows, Summing

__all__ = ["KeptSums", "summing"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_AT_ONCE = timedelta(days=1)
"""Event time that is read in one go where nothing is kept."""
_PIECES = 64
"""Pieces of a period that is not tiled by known windows: as much as one of them is read again for the next window."""

Read = Callable[[Interval], ScoredRows]
"""Returns the labelled rows of a span, in order of time."""
Sums = Mapping[str, object | None]


def summing(detectors: Detectors, classes: int) -> Mapping[str, Summing]:
    """Return those detectors that can measure the period that they ask for from sums of its windows."""
    return {
        key: each
        for key, each in detectors.items()
        if each.over is not None and isinstance(each, Summing) and each.adds_up(classes)
    }


@dataclass(frozen=True, slots=True)
class _Piece:
    span: Interval
    sums: Sums


class KeptSums:
    """Pieces of event time that do not overlap, windows as a rule, with the sums of each; not thread-safe.

    They say what was in the lake when they were read: whoever knows of new rows has them forgotten. After a restart
    nothing is kept, and the first period is read once more, day by day.

    Parameters
    ----------
    detectors
        From `summing`.
    length
        Length of a window, by which pieces are aligned; None for windows of rows.
    longest
        The longest period that is asked for.
    revise
        How far behind the newest window one may lie that is asked for again.
    """

    def __init__(
        self, detectors: Mapping[str, Summing], length: timedelta | None, longest: timedelta, revise: timedelta
    ) -> None:
        self._detectors = detectors
        self._length = length
        self._longest = longest
        self._keep = longest + revise
        self._pieces: dict[datetime, _Piece] = {}
        self._starts: list[datetime] = []

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def end(self) -> datetime | None:
        """The end of the newest piece; None where there is none."""
        return self._pieces[self._starts[-1]].span.end if self._starts else None

    def put(self, window: Interval, rows: ScoredRows) -> None:
        """Keep the sums of a window, in the place of what was known of that time."""
        for piece in list(self._meeting(window)):
            self._drop(piece)
        self._hold(_Piece(window, self._summed(rows)))
        newest = self._pieces[self._starts[-1]].span.end
        while self._pieces[self._starts[0]].span.end < newest - self._keep:
            self._drop(self._pieces[self._starts[0]])

    def forget(self, instants: npt.NDArray[np.int64], width: int) -> None:
        """Forget the pieces that meet any interval of `width` that begins at one of `instants`, in microseconds."""
        if not len(instants) or not self._starts:
            return
        pieces = [self._pieces[start] for start in self._starts]
        ordered = np.sort(instants)
        starts, ends = (np.array([_micros(at) for at in each]) for each in zip(*map(_ends, pieces), strict=True))
        first = np.searchsorted(ordered, starts - width, side="right")
        for number in np.flatnonzero(first < np.searchsorted(ordered, ends)).tolist():
            self._drop(pieces[number])

    def over(self, key: str, period: Interval, read: Read) -> Sequence[object] | None:
        """Return the sums of a detector for the pieces of `period`, in order of time; what is not kept is read.

        None where the detector cannot sum up some of them.
        """
        found: list[object] = []
        for piece in self._tiles(period, read):
            sums = piece.sums[key]
            if sums is None:
                return None
            found.append(sums)
        return found

    def _tiles(self, period: Interval, read: Read) -> Iterable[_Piece]:
        inside = [
            each for each in self._meeting(period) if period.start <= each.span.start and each.span.end <= period.end
        ]
        at = period.start
        tiles: list[_Piece] = []
        for piece in inside:
            tiles += self._read(Interval(start=at, end=piece.span.start), read) if at < piece.span.start else ()
            tiles.append(piece)
            at = piece.span.end
        return [*tiles, *(self._read(Interval(start=at, end=period.end), read) if at < period.end else ())]

    def _read(self, gap: Interval, read: Read) -> Iterator[_Piece]:
        """Read what is not kept, some pieces at once, and keep what is whole."""
        spans = self._cut(gap)
        while spans:
            fits = max(1, sum(1 for each in spans if each.end <= spans[0].start + _AT_ONCE))
            together, spans = spans[:fits], spans[fits:]
            rows = read(Interval(start=together[0].start, end=together[-1].end))
            times = rows.table.get_column("_at").dt.epoch("us").to_numpy() if rows.n else np.empty(0, dtype=np.int64)
            for span in together:
                low, high = np.searchsorted(times, [_micros(span.start), _micros(span.end)]).tolist()
                piece = _Piece(span, self._summed(rows.part(low, high)))
                if self._aligned(span) and not any(True for _ in self._meeting(span)):
                    self._hold(piece)
                yield piece

    def _cut(self, gap: Interval) -> list[Interval]:
        """Cut a gap where windows begin, or into equal pieces where that is not known."""
        low, high = _micros(gap.start), _micros(gap.end)
        if self._length is not None:
            step = self._length // _MICRO
            cuts = list(range(low - low % step + step, high, step))
        else:
            step = max(1, self._longest // _MICRO // _PIECES)
            cuts = list(range(low + step, high, step))
        edges = [_EPOCH + each * _MICRO for each in (low, *cuts, high)]
        return [Interval(start=a, end=b) for a, b in pairwise(edges)]

    def _aligned(self, span: Interval) -> bool:
        return self._length is None or (span.length == self._length and not (span.start - _EPOCH) % self._length)

    def _summed(self, rows: ScoredRows) -> Sums:
        return {key: sums_of_window(each, rows) for key, each in self._detectors.items()}

    def _meeting(self, span: Interval) -> Iterator[_Piece]:
        """Yield the pieces that overlap `span`, in order of time."""
        first = max(0, bisect_right(self._starts, span.start) - 1)
        for start in self._starts[first : bisect_left(self._starts, span.end)]:
            if self._pieces[start].span.end > span.start:
                yield self._pieces[start]

    def _hold(self, piece: _Piece) -> None:
        self._pieces[piece.span.start] = piece
        insort(self._starts, piece.span.start)

    def _drop(self, piece: _Piece) -> None:
        del self._pieces[piece.span.start]
        self._starts.remove(piece.span.start)


def _ends(piece: _Piece) -> tuple[datetime, datetime]:
    return piece.span.start, piece.span.end


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICRO
