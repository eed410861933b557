"""`anew profile --over`: a history profiled by windows against what a version was trained on, spread over workers."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from anew.app.kept import kept_artifacts
from anew.app.piece import Piece, Told, begin, count
from anew.app.settings import Settings
from anew.app.workers_of import workers_of
from anew.domain.errors import NotFoundError, SchemaError, SettingsError
from anew.domain.interval import Interval
from anew.ports.workers import Workers
from anew.stats.comparison import Measurement, measure
from anew.stats.profile import Profile, Reference

__all__ = ["OverFiles", "ProfiledWindow", "profile_over", "profile_windows", "whole_files"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_ROWS = 500_000
"""Rows of a piece of work, at least, where the file's row groups allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledWindow:
    """A window of the history: its profile, and how far each column is from the reference (None: too little)."""

    window: Interval
    profile: Profile
    changes: Mapping[str, Measurement | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverFiles:
    """What `anew profile --over` found: windows in order, and how the work was cut."""

    version: str
    rows: int
    pieces: int
    windows: Sequence[ProfiledWindow]


def profile_over(
    settings: Settings,
    source: Path,
    *,
    digest: str,
    version: str,
    processes: int = 0,
    told: Callable[[int, int], None] = lambda *_: None,
) -> OverFiles:
    """Profile the rows of a Parquet file, or of all in a folder, window by window on a version's bins.

    Windows are those of ``monitor.window``, as the loop aligns them. Profiles add up exactly, so it does not matter how
    the rows lie in files or who counted which; memory is that of a piece in each worker, and of the windows here.

    Parameters
    ----------
    digest, version
        Of the version whose reference is compared with.
    processes
        See `workers_of`.
    told
        Called with the pieces done, and with all of them.

    Raises
    ------
    NotFoundError
        There is no such file, or nothing of the version is stored.
    SchemaError
        A file cannot be read, or lacks a column of the version.
    SettingsError
        Windows are counted in rows: then files have no windows of their own.
    UnavailableError
        A worker was lost.
    """
    if settings.window is None:
        raise SettingsError("monitor.window is counted in rows; a history is profiled by windows of time")
    width = settings.window // _MICRO
    packed = (kept_artifacts(settings.state).get(digest) / "reference.bin").read_bytes()
    workers = workers_of(settings, processes)
    pieces = whole_files(source)
    found = profile_windows(workers, (packed, settings.columns, width), pieces, told)
    reference = Reference.from_bytes(packed)
    windows = [
        ProfiledWindow(
            window=Interval(start=_EPOCH + number * width * _MICRO, end=_EPOCH + (number + 1) * width * _MICRO),
            profile=profile,
            changes={name: measure(reference.own.columns[name], column) for name, column in profile.columns.items()},
        )
        for number, profile in sorted(found.items())
    ]
    rows = sum(each.profile.n for each in windows)
    return OverFiles(version=version, rows=rows, pieces=len(pieces), windows=windows)


def whole_files(source: Path, *, least_rows: int = _ROWS) -> list[Piece]:
    """Cut the Parquet file `source`, or those in the folder, at row groups into pieces of at least so many rows.

    Raises
    ------
    NotFoundError
        There are none.
    SchemaError
        One cannot be read.
    """
    files = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    if not files or not files[0].is_file():
        raise NotFoundError(f"there is no Parquet file {source}, or none in it")
    pieces: list[Piece] = []
    for file in files:
        try:
            metadata = pq.ParquetFile(file).metadata
        except (OSError, ValueError) as exc:
            raise SchemaError(f"{file.name} cannot be read as Parquet: {exc}") from exc
        groups: list[int] = []
        rows = 0
        for group in range(metadata.num_row_groups):
            groups.append(group)
            rows += metadata.row_group(group).num_rows
            if rows >= least_rows or group == metadata.num_row_groups - 1:
                pieces.append((str(file), tuple(groups), b""))
                groups, rows = [], 0
    return pieces


def profile_windows(
    workers: Workers, told: Told, pieces: Sequence[Piece], done: Callable[[int, int], None] = lambda *_: None
) -> Mapping[int, Profile]:
    """Profile pieces wherever there is room, and add up what belongs to one window; raises as `profile_over`."""
    merged: dict[int, Profile] = {}
    sent = pieces if workers.reads_our_files else _Enclosed(pieces)
    for number_done, (_, (_, found)) in enumerate(workers.each(begin, told, count, sent), 1):
        for number, packed in found.items():
            profile = Profile.from_bytes(packed)
            merged[number] = merged[number] + profile if number in merged else profile
        done(number_done, len(pieces))
    return merged


class _Enclosed(Sequence[Piece]):
    """Pieces that bring their rows along, read when they are asked for: no more is held than is on its way."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return len(self._pieces)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]  # a slice is never asked for
        name, groups, _ = self._pieces[number]
        written = io.BytesIO()
        with pq.ParquetFile(name) as file:
            pq.write_table(file.read_row_groups(list(groups)), written, compression="zstd")
        return Path(name).name, (), written.getvalue()
