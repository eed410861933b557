"""Durations as people write them."""

from datetime import timedelta

__all__ = ["lasting", "write_duration"]

_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}


_NAMES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def lasting(seconds: float) -> str:
    """Write how long something took in its largest two units, as people read it.

    >>> lasting(0.005), lasting(4.72), lasting(3725)
    ('5 ms', '4.7 s', '1 h 2 min')
    """
    if seconds < 1:
        return f"{1_000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    said: list[str] = []
    for unit, name in _NAMES:
        if seconds >= unit and len(said) < 2:
            said.append(f"{int(seconds // unit)} {name}")
            seconds %= unit
    return " ".join(said)


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
