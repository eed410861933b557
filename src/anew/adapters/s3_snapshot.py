"""Snapshots in a bucket, with verified copies of those that are used on the disk of this machine."""

from pathlib import Path

import polars as pl

from anew.adapters.local_snapshot import LocalSnapshotStore
from anew.adapters.s3_bucket import S3Bucket
from anew.domain.errors import IntegrityError, NotFoundError, UnavailableError

__all__ = ["S3SnapshotStore"]


class S3SnapshotStore:
    """See `anew.ports.snapshot.SnapshotStore`; an object ``<address>.parquet`` for each.

    Parameters
    ----------
    bucket
        The prefix of the snapshots.
    copies
        Copies on this disk, which may be deleted at any time.
    """

    def __init__(self, bucket: S3Bucket, copies: LocalSnapshotStore) -> None:
        self._bucket = bucket
        self._copies = copies

    def put(self, rows: pl.DataFrame) -> str:
        """Write the file here, then put it; what is damaged there is written anew."""
        return self.upload(self._copies.put(rows))

    def upload(self, digest: str) -> str:
        """Put what the verified copy here has; returns the address. Raises as `put` and `get` do."""
        self._bucket.put(_name(digest), self._verified(digest).read_bytes())
        return digest

    def get(self, digest: str) -> Path:
        """Read the copy, fetched when there is none, or none whose rows have this address."""
        try:
            return self._copies.get(digest)
        except (NotFoundError, IntegrityError) as exc:
            if not self._copies.names(digest):
                raise
            stored = self._bucket.read(_name(digest))
            if stored is None:
                raise NotFoundError(f"no snapshot in {self._bucket.url} has the address {digest}") from exc
        self._copies.admit(digest, stored)
        return self._verified(digest)

    def purge(self, key: str) -> tuple[str, ...]:
        """Delete every snapshot that has rows of this key, and its copy, and return their addresses.

        Raises
        ------
        IntegrityError
            One cannot be read: whose rows it has is not known, so it stays and has to be seen to.
        UnavailableError
            The bucket does not answer; done again, it goes on.
        """
        for digest in self.stored():
            self.get(digest)
        found = self._copies.holding(key)
        for digest in found:
            self._bucket.remove(_name(digest))
        return tuple(dict.fromkeys((*found, *self._copies.purge(key))))

    def stored(self) -> list[str]:
        """Return the addresses in the bucket, in order."""
        names = (name.removesuffix(".parquet") for name in self._bucket.names() if name.endswith(".parquet"))
        return [name for name in names if self._copies.names(name)]

    def _verified(self, digest: str) -> Path:
        try:
            return self._copies.get(digest)
        except NotFoundError as exc:
            raise UnavailableError(f"the copy of snapshot {digest} was deleted while it was read; try again") from exc


def _name(digest: str) -> str:
    return f"{digest}.parquet"
