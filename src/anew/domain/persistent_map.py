"""A map that is a value: one more entry costs the same however many there are, and leaves the map before as it was."""

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

__all__ = ["PersistentMap"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_Leaf = dict[K, tuple[int, V]]
_Node = _Leaf[K, V] | tuple["_Node[K, V]", ...]

_BITS = 4
_WIDTH = 1 << _BITS
_DEEPEST = 60
"""Bits of a hash that are told apart: keys that agree in all of these share a leaf, however large it grows."""


class PersistentMap(Mapping[K, V]):
    """Keys and their values in the order in which keys first came, as in a dict; never changed, equal by what it holds.

    A tree by the bits of a key's hash. What a change returns shares all nodes with what it came from but those on the
    way to one leaf: for a million entries some five tuples and a dict, of sixteen entries at most each. Going through
    all of it sorts them, so that whoever needs the last few of many keeps those apart.

    >>> one = PersistentMap[str, int]().having("a", 1)
    >>> dict(one.having("b", 2)), dict(one.having("a", 3)), dict(one)
    ({'a': 1, 'b': 2}, {'a': 3}, {'a': 1})

    References
    ----------
    P. Bagwell, Ideal Hash Trees, 2001. Its nodes have no gaps; ours have, since a leaf holds up to sixteen entries.
    """

    __slots__ = ("_came", "_n", "_root")

    def __init__(self) -> None:
        self._root: _Node[K, V] = {}
        self._n = 0
        self._came = 0

    def __getitem__(self, key: K) -> V:
        return self._leaf(key)[key][1]

    def __contains__(self, key: object) -> bool:
        return key in self._leaf(key)

    def __iter__(self) -> Iterator[K]:
        found = [(place, key) for leaf in _leaves(self._root) for key, (place, _) in leaf.items()]
        return (key for _, key in sorted(found, key=lambda each: each[0]))

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        return f"PersistentMap of {self._n} entries"

    def having(self, key: K, value: V) -> "PersistentMap[K, V]":
        """Return this map with `value` under `key`; a key that is there keeps its place."""
        known = self._leaf(key).get(key)
        place = self._came if known is None else known[0]
        return self._with(
            _put(self._root, key, (place, value), 0), self._n + (known is None), self._came + (known is None)
        )

    def without(self, key: K) -> "PersistentMap[K, V]":
        """Return this map without `key`."""
        return self._with(_taken(self._root, key, 0), self._n - 1, self._came) if key in self else self

    def _with(self, root: _Node[K, V], n: int, came: int) -> "PersistentMap[K, V]":
        made: PersistentMap[K, V] = PersistentMap()
        made._root, made._n, made._came = root, n, came
        return made

    def _leaf(self, key: object) -> _Leaf[K, V]:
        node, bits = self._root, hash(key)
        while isinstance(node, tuple):
            node, bits = node[bits & (_WIDTH - 1)], bits >> _BITS
        return node


def _put(node: _Node[K, V], key: K, entry: tuple[int, V], depth: int) -> _Node[K, V]:
    if isinstance(node, tuple):
        i = hash(key) >> depth & (_WIDTH - 1)
        return (*node[:i], _put(node[i], key, entry, depth + _BITS), *node[i + 1 :])
    leaf = {**node, key: entry}
    if len(leaf) <= _WIDTH or depth >= _DEEPEST:
        return leaf
    parts: tuple[_Leaf[K, V], ...] = tuple({} for _ in range(_WIDTH))
    for each, kept in leaf.items():
        parts[hash(each) >> depth & (_WIDTH - 1)][each] = kept
    return parts


def _taken(node: _Node[K, V], key: K, depth: int) -> _Node[K, V]:
    if isinstance(node, tuple):
        i = hash(key) >> depth & (_WIDTH - 1)
        return (*node[:i], _taken(node[i], key, depth + _BITS), *node[i + 1 :])
    return {each: kept for each, kept in node.items() if each != key}


def _leaves(node: _Node[K, V]) -> Iterator[_Leaf[K, V]]:
    if isinstance(node, tuple):
        for each in node:
            yield from _leaves(each)
    else:
        yield node
