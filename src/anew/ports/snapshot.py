"""Where the rows of training runs lie: immutable, addressed by content."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SnapshotStore"]


class SnapshotStore(Protocol):
    """Keeps frames under the address of their content. Process-safe; `put` is idempotent."""

    def put(self, rows: "pl.DataFrame") -> str:
        """Store `rows` in their order, durably, and return their address.

        Raises
        ------
        UnavailableError
            The store cannot be written now; nothing counts as stored.
        """
        ...

    def get(self, digest: str) -> Path:
        """Return the Parquet file of the rows with this address; reads and checks them first.

        Raises
        ------
        NotFoundError
            No rows are stored under this address.
        IntegrityError
            The rows are not those that were stored.
        """
        ...

    def purge(self, key: str) -> tuple[str, ...]:
        """Delete every snapshot that has rows of this key (column ``_key``), and return their addresses."""
        ...
