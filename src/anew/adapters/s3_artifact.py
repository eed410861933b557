"""Artifacts in a bucket, with verified copies of those that are used on the disk of this machine."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.s3_bucket import S3Bucket
from anew.domain.errors import IntegrityError, NotFoundError
from anew.domain.manifest import FileEntry

__all__ = ["S3ArtifactStore"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3ArtifactStore:
    """See `anew.ports.artifact.ArtifactStore`.

    ``<digest>/…`` are the files and ``<digest>.json`` the signed list, as on a disk. The list is the last to be put and
    the first to be removed: an artifact is there whole, or not at all. What lies beside the listed files is never read.

    Parameters
    ----------
    bucket
        The prefix of the artifacts.
    copies
        Verified copies, which serving goes on from while the bucket is away; they may be deleted at any time.
    """

    bucket: S3Bucket
    copies: LocalArtifactStore

    def put(self, folder: Path) -> str:
        """Copy and sign `folder` here, then put its files and its list; what is damaged there is written anew.

        Raises
        ------
        IntegrityError, PolicyError, DiskFullError, UnavailableError
            As `LocalArtifactStore.put`; or the bucket does not answer: then it counts as not stored, and may be put
            again.
        """
        return self.upload(self.copies.put(folder))

    def upload(self, digest: str) -> str:
        """Put what the verified copy here has; returns the digest. Raises as `put` and `LocalArtifactStore.get` do."""
        folder = self.copies.get(digest)
        for entry in self.copies.entries(digest):
            self.bucket.put(f"{digest}/{entry.path}", (folder / entry.path).read_bytes())
        self.bucket.put(f"{digest}.json", self.copies.record(digest))
        return digest

    def get(self, digest: str) -> Path:
        """Return the verified copy, fetched when there is none, or none that is what was signed."""
        if self.copies.has(digest):
            try:
                return self.copies.get(digest)
            except IntegrityError as exc:
                _log.warning("artifact_copy_damaged digest=%s problem=%s", digest, exc)
        record = self.bucket.read(f"{digest}.json") if self.copies.names(digest) else None
        if record is None:
            raise NotFoundError(f"no artifact {digest[:80]!r} in {self.bucket.url}")

        def fetch(entry: FileEntry) -> bytes:
            found = self.bucket.read(f"{digest}/{entry.path}")
            if found is None:
                raise IntegrityError(f"artifact {digest[:12]}: {entry.path} is gone from {self.bucket.url}")
            return found

        return self.copies.admit(digest, record, fetch)

    def has(self, digest: str) -> bool:
        """Is there a list of this digest in the bucket, or a copy here?"""
        if not self.copies.names(digest):
            return False
        return self.copies.has(digest) or self.bucket.tag(f"{digest}.json") is not None

    def forget(self, digest: str, *, pinned: Collection[str]) -> bool:
        """Delete an artifact and its copy unless it is pinned; return whether there was one.

        Raises
        ------
        PolicyError
            Its digest is among the `pinned`.
        """
        there = self.has(digest)
        here = self.copies.forget(digest, pinned=pinned)
        if there:
            self.bucket.remove(f"{digest}.json")
            for name in self.bucket.tree(digest):
                self.bucket.remove(name)
        return there or here

    def stored(self) -> list[str]:
        """Return the digests in the bucket, in order."""
        names = (name.removesuffix(".json") for name in self.bucket.names() if name.endswith(".json"))
        return [name for name in names if self.copies.names(name)]
