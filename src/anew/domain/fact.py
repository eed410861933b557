"""Facts: immutable records of something that happened or was decided, with their cause."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Self

from anew.domain.errors import InvariantError
from anew.domain.interval import require_utc

__all__ = ["Fact", "derive_id"]


def derive_id(cause: str, name: str) -> str:
    """Derive an id from its cause: the same cause and name give the same id, on every machine and at every time.

    >>> derive_id("a", "b") == derive_id("a", "b") != derive_id("b", "a")
    True
    """
    return hashlib.sha256(f"{len(cause)}:{cause}{name}".encode()).hexdigest()[:26]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Base of all facts.

    Attributes
    ----------
    model
        Name of the model that the fact is about.
    at
        Event time at which it holds, timezone-aware UTC.
    id
        Derived from the cause; empty until the fact is recorded.
    cause
        Id of the fact that led to this one; empty for what came from outside.

    A subclass that *asks* for an effect names it in `asks`; one that *ends* an effect sets `ends`, and its cause is
    the fact that asked. `key` tells apart several facts of one kind with one cause. `together` says that the effects of
    all facts of the kind that wait are run as one, on behalf of the oldest.
    """

    asks: ClassVar[str] = ""
    ends: ClassVar[bool] = False
    together: ClassVar[bool] = False
    schema: ClassVar[int] = 1

    model: str
    at: datetime
    id: str = ""
    cause: str = ""

    def __post_init__(self) -> None:
        require_utc(self.at, "at")
        if not self.model:
            raise InvariantError(f"{type(self).__name__} names no model; every fact names its model")

    @property
    def key(self) -> str:
        """What tells this fact from others of its kind with the same cause."""
        return ""

    @property
    def kind(self) -> str:
        """Name of the fact's class, as stored."""
        return type(self).__name__

    def caused_by(self, cause: str) -> Self:
        """Return the fact with its cause, and with the id that follows from it."""
        return replace(self, cause=cause, id=derive_id(cause, f"{self.kind}/{self.model}/{self.key}"))
