"""Durations as people write them."""

from datetime import timedelta

__all__ = ["write_duration"]

_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def write_duration(length: timedelta) -> str:
    """Write a duration in its largest whole unit, as policies are written: 30s, 12h, 2w.

    >>> write_duration(timedelta(days=14))
    '2w'
    """
    seconds = length.total_seconds()
    for unit, size in _UNITS.items():
        if seconds and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return (
        f"{seconds * 1e3:f}".rstrip("0").rstrip(".") + "ms"
        if 0 < seconds < 1
        else f"{seconds:f}".rstrip("0").rstrip(".") + "s"
    )
