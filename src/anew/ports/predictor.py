"""A version that is loaded and can answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from anew.domain.column import Columns, Value
from anew.domain.observation import Answer

__all__ = ["Loader", "Predictor"]


class Predictor(Protocol):
    """A loaded version with the very code it was trained with. Thread-safe, free of side effects."""

    @property
    def version(self) -> str:
        """Name of the version, e.g. ``v3``."""
        ...

    @property
    def digest(self) -> str:
        """Digest of the artifact it was loaded from."""
        ...

    @property
    def columns(self) -> Columns:
        """The row contract it was trained under."""
        ...

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Answer each of `rows`, in order; rows carry exactly the declared features, missing values as None.

        Raises whatever the user's code raises; the caller is at an outermost loop and turns it into a fact.
        """
        ...


class Loader(Protocol):
    """Turns a verified artifact folder into a predictor."""

    def load(self, folder: Path, *, version: str, digest: str) -> Predictor:
        """Load and warm up with one row of nulls-or-zeros; raises IntegrityError or SchemaError when it cannot answer."""
        ...
