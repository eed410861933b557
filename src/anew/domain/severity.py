"""How bad an alert is."""

from enum import IntEnum

__all__ = ["Severity"]


class Severity(IntEnum):
    """From worth a note to act now."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    CRITICAL = 3
