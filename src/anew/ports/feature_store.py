"""Where features live that no request brings: joined to history as they were then, read as they are now at serving."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from anew.domain.column import Value

if TYPE_CHECKING:
    import polars as pl

__all__ = ["OfflineFeatures", "OnlineFeatures"]


class OfflineFeatures(Protocol):
    """Answers what was known of an entity at an instant. Used by one thread at a time."""

    def join(self, rows: "pl.DataFrame") -> "pl.DataFrame":
        """Return `rows` in their order, with a column for each feature as it was known at the row's ``_at``.

        What was not known then, or had expired, is null; what became known later is never used.

        Raises
        ------
        SchemaError
            The rows lack a column of the entity, or the store does not have the features.
        UnavailableError
            The store does not answer.
        """
        ...


class OnlineFeatures(Protocol):
    """Answers what is known of entities now. Belongs to one event loop."""

    async def read(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Mapping[str, Value]]:
        """Return the features of each row's entity, by name; null where nothing is known of it, or it has expired.

        Raises
        ------
        UnavailableError
            The store does not answer in time, or answers something else; nothing is made up instead.
        """
        ...

    async def close(self) -> None:
        """Give its connections back."""
        ...
