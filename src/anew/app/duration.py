"""Durations as people write them: 30s, 12h, 7d, 2w; rates such as 8 per 7d; windows."""

import re
from datetime import timedelta

from anew.domain.errors import SettingsError

__all__ = ["parse_alarms", "parse_amount", "parse_count", "parse_duration", "parse_rate"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)\s*")
_RATE = re.compile(r"\s*(\d{1,15})\s+per\s+(.+)")  # so many digits are exact in a float
_AMOUNT = re.compile(r"\s*(\d{1,15}(?:\.\d+)?)\s+per\s+(.+)")
_COUNT = re.compile(r"\s*(\d{1,15})\s+([a-z]+?)s?\s*")


def parse_duration(text: str) -> timedelta:
    """Read a duration: a number and one of ms, s, m, h, d, w.

    >>> parse_duration("12h")
    datetime.timedelta(seconds=43200)

    Raises
    ------
    SettingsError
        `text` is no duration.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise SettingsError(f"{text!r} is no duration; write a number and a unit (ms, s, m, h, d, w), e.g. 12h")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError as exc:
        raise SettingsError(f"{text!r} is longer than any duration can be") from exc


def parse_rate(text: str) -> tuple[int, timedelta]:
    """Read a rate such as ``8 per 7d``.

    Raises
    ------
    SettingsError
        `text` is no rate.
    """
    amount, period = _rate(_RATE, text)
    return int(amount), period


def parse_amount(text: str) -> tuple[float, timedelta]:
    """Read an amount of something in a period, such as ``2.5 per 7d``.

    Raises
    ------
    SettingsError
        `text` is no such amount.
    """
    return _rate(_AMOUNT, text)


def _rate(pattern: re.Pattern[str], text: str) -> tuple[float, timedelta]:
    match = pattern.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise SettingsError(f"{text!r} is no rate; write e.g. 8 per 7d")
    period = parse_duration(match[2])
    if period <= timedelta(0):
        raise SettingsError(f"{text!r}: the period of a rate must be positive")
    return float(match[1]), period


def parse_alarms(text: str) -> tuple[int, timedelta | int]:
    """Read a rate of false alarms: a number, and a period, ``1 per 365d``, or so many windows, ``1 per 500 windows``.

    Raises
    ------
    SettingsError
        `text` is no such rate.
    """
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is not None and match[2].strip().endswith(("window", "windows")):
        return int(match[1]), parse_count(match[2], "window")
    return parse_rate(text)


def parse_count(text: str | int, noun: str) -> int:
    """Read a whole number with its noun, ``3 windows``, or the number alone.

    Raises
    ------
    SettingsError
        `text` is no such count.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    match = _COUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] != noun or int(match[1]) < 1:
        raise SettingsError(f"{text!r} is no number of {noun}s; write e.g. 3 {noun}s")
    return int(match[1])
