"""Instants that a file holds as text: ISO 8601 and nothing else, for 01/02/2026 is one day here and another there."""

import polars as pl

__all__ = ["iso_problem", "parse_iso"]

_INSTANT = (
    r"^(?<day>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?<clock>\d\d:\d\d)(?:(?<second>:[0-5]\d)(?:[.,](?<fraction>\d+))?)?"
    r"(?<zone>Z|[+-][012]\d(?::?[0-5]\d)?)?)?$"
)
_CLOCK = r"^\d\d:\d\d(?::\d\d(?:\.\d+)?)?$"
_DAY_SIZE = len("2024-05-01")


def parse_iso(text: pl.Series) -> pl.Series | None:
    """Return text as dates, times of the day, or instants, where every value is one in ISO 8601; None where not.

    A date, or a date and a time with ``T`` or a blank between them, fractions of a second, and an offset (``Z``,
    ``+02``, ``+0200``, ``+02:00``) that all values have or none. With an offset they are returned in UTC.
    """
    first = text.drop_nulls().head(1)
    if not first.len() or not first.str.contains(rf"{_INSTANT}|{_CLOCK}")[0]:  # most text is told by its first value
        return None
    if text.str.contains(_CLOCK).all():
        return _whole(text, _instants("1970-01-01T" + text)[0].dt.time())
    read, zoned = _instants(text)
    offsets = zoned.drop_nulls()
    if not offsets.any():
        days = (text.str.len_bytes() == _DAY_SIZE).all()
        return _whole(text, read.dt.date() if days else read)
    return _whole(text, read.dt.replace_time_zone("UTC")) if offsets.all() else None


def iso_problem(text: pl.Series) -> str:
    """Return why text holds no instants: the first value that is none, with its row, counted from 1; empty if it does.

    Instants with an offset among such without are none either: nobody knows how far the others lie from UTC.
    """
    read, zoned = _instants(text)
    strange = read.is_null() & text.is_not_null()
    why = "is neither a date nor an instant in ISO 8601, such as 2024-05-01 or 2024-05-01T12:00:00Z"
    if not strange.any():
        strange = ~zoned.fill_null(value=True) & bool(zoned.any())
        why = "has no offset from UTC, and others have one"
    row = strange.arg_max()
    return f"{text[row]!r} in row {row + 1} {why}" if row is not None and strange[row] else ""


def _instants(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return instants without a zone, null where the text is none; and which have an offset, null where no text is."""
    parts = text.str.extract_groups(_INSTANT).struct
    clock, second, fraction, zone = (parts.field(each) for each in ("clock", "second", "fraction", "zone"))
    # One form for all, and fractions apart: to read them with the rest takes four times as long.
    written = parts.field("day") + "T" + clock.fill_null("00:00") + second.fill_null(":00")
    read = written.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    if fraction.null_count() < text.len():
        read += fraction.fill_null("").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).cast(pl.Duration("us"))
    if zone.null_count() < text.len():
        read -= _offset(zone)
    return read, pl.select(pl.when(text.is_not_null()).then(zone.is_not_null())).to_series()


def _offset(zone: pl.Series) -> pl.Series:
    digits = zone.str.replace(":", "", literal=True)
    hours, minutes = (digits.str.slice(start, 2).cast(pl.Int64, strict=False).fill_null(0) for start in (1, 3))
    sign = 1 - 2 * zone.str.starts_with("-").fill_null(value=False).cast(pl.Int64)
    return (sign * (hours * 60 + minutes) * 60_000_000).cast(pl.Duration("us"))


def _whole(text: pl.Series, read: pl.Series) -> pl.Series | None:
    return read.alias(text.name) if read.null_count() == text.null_count() else None
