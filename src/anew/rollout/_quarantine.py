"""What was rolled back and not released: versions with their digests, found by either."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from anew.domain.persistent_map import PersistentMap

__all__ = ["Quarantine"]


class Quarantine(AbstractSet[tuple[str, str]]):
    """Pairs of a version and its digest; never changed. Nothing is ever released by itself, so that it grows."""

    __slots__ = ("_digests", "_n", "_versions")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._versions = PersistentMap[str, frozenset[str]]()
        self._digests = PersistentMap[str, int]()  # of how many versions; many may be barred before theirs is known
        self._n = 0
        for version, digest in pairs:
            self._put((version, digest))

    def __contains__(self, pair: object) -> bool:
        return isinstance(pair, tuple) and pair[1] in self._versions.get(pair[0], ())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((version, each) for version, digests in self._versions.items() for each in sorted(digests))

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        return f"Quarantine of {self._n} pairs"

    def bars(self, version: str, digest: str) -> bool:
        """Is there this version, or another with the same digest?"""
        return version in self._versions or digest in self._digests

    def having(self, pair: tuple[str, str]) -> "Quarantine":
        """Return these pairs with one more."""
        made = self._copied()
        made._put(pair)
        return made

    def without(self, version: str) -> "Quarantine":
        """Return these pairs without those of a version."""
        made = self._copied()
        for digest in self._versions.get(version, ()):
            left = made._digests[digest] - 1
            made._digests = made._digests.having(digest, left) if left else made._digests.without(digest)
            made._n -= 1
        made._versions = made._versions.without(version)
        return made

    def _copied(self) -> "Quarantine":
        made = Quarantine()
        made._versions, made._digests, made._n = self._versions, self._digests, self._n
        return made

    def _put(self, pair: tuple[str, str]) -> None:
        """Take in a pair: of a set that nobody else has seen yet."""
        if pair in self:
            return
        version, digest = pair
        self._versions = self._versions.having(version, self._versions.get(version, frozenset()) | {digest})
        self._digests = self._digests.having(digest, self._digests.get(digest, 0) + 1)
        self._n += 1
