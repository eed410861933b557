"""The hash chain over stored facts: each hash covers the fact and the hash before it."""

import hashlib

__all__ = ["GENESIS", "link"]

GENESIS = "0" * 64
"""The hash before the first fact."""


def link(previous: str, *, seq: int, kind: str, schema: int, recorded_at: str, body: str) -> str:
    """Return the hash of a fact that follows `previous`: sha256 over everything that is stored of it.

    The body holds model, id, cause and instant; the fields before it contain no line break, so no two facts give
    the same bytes.
    """
    head = f"{previous}\n{seq}\n{kind}\n{schema}\n{recorded_at}\n"
    return hashlib.sha256(f"{head}{body}".encode()).hexdigest()
