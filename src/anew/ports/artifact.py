"""Where trained versions lie: directories addressed by one digest over all their files."""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

__all__ = ["ArtifactStore"]


class ArtifactStore(Protocol):
    """Keeps immutable directories of files. Process-safe; `put` is idempotent: one digest, one artifact."""

    def put(self, folder: Path) -> str:
        """Copy `folder`, sign its manifest, and return the digest (64 hex digits) over all its files.

        Links and anything but plain files and folders are refused with IntegrityError.
        """
        ...

    def get(self, digest: str) -> Path:
        """Return the artifact's folder after verifying signature and every byte, before anything is parsed.

        Raises
        ------
        NotFoundError
            No artifact has this digest.
        IntegrityError
            A byte, a file or the signature is not what was stored; the message names the file.
        """
        ...

    def has(self, digest: str) -> bool:
        """Is an artifact stored under this digest? Looks, does not verify."""
        ...

    def forget(self, digest: str, *, pinned: Collection[str]) -> bool:
        """Delete an artifact unless it is `pinned`, which is a PolicyError; return whether there was one."""
        ...
