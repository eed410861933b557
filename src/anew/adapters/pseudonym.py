"""Pseudonyms for personal values: the same for the same value, and no way back without the project's key."""

import hashlib
import hmac
from pathlib import Path

from anew.domain.errors import NotFoundError

__all__ = ["Pseudonyms"]

_KEY = "signing.key"


class Pseudonyms:
    """Gives pseudonyms. Their key follows from the project's signing key, so that it has not to be kept as well.

    Parameters
    ----------
    folder
        The project's keys.

    Raises
    ------
    NotFoundError
        There are none.
    """

    def __init__(self, folder: Path) -> None:
        try:
            private = (folder / _KEY).read_bytes()
        except OSError as exc:
            raise NotFoundError(f"{folder / _KEY} cannot be read ({exc.strerror}); bring the project up first") from exc
        self._key = hmac.digest(private, b"anew pseudonyms", hashlib.sha256)

    def of(self, column: str, value: object) -> str | None:
        """Return the pseudonym of a value in a column; None for none. Two columns' pseudonyms tell nothing together."""
        if value is None:
            return None
        return "p-" + hmac.digest(self._key, f"{column}\0{value!r}".encode(), hashlib.sha256).hex()[:16]
