"""What people are told of a fact."""

from dataclasses import dataclass

__all__ = ["Notice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A short message; two of the same `key` say the same thing again. `urgent`: somebody should act."""

    key: str
    title: str
    body: str
    urgent: bool = False
