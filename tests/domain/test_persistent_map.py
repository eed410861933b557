"""A persistent map is a dict that never changes, and copies little."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from anew.domain.persistent_map import PersistentMap

CHANGES = st.lists(st.tuples(st.sampled_from(["having", "having", "having", "without", "back"]), st.integers(0, 60)))


class Same:
    """A key whose hash is that of every other."""

    def __init__(self, name: int) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.name == other.name

    def __hash__(self) -> int:
        return -7


def key(kind: str, number: int) -> Any:
    """Return a key of a kind: spread, negative, or all in one leaf."""
    return {"text": f"v{number}", "negative": -(number << 40), "same": Same(number)}[kind]


@given(changes=CHANGES, kind=st.sampled_from(["text", "negative", "same"]))
def test_it_holds_what_a_dict_holds_and_every_map_before_it_still_does(
    changes: list[tuple[str, int]], kind: str
) -> None:
    """Changes go on from any map that there was, as a fold does that was thrown away."""
    known: list[tuple[PersistentMap[Any, int], dict[Any, int]]] = [(PersistentMap(), {})]
    for value, (what, number) in enumerate(changes):
        made, plain = known[-1]
        if what == "back":
            known.append(known[number % len(known)])
            continue
        name, after = key(kind, number), dict(plain)
        if what == "having":
            after[name] = value
            known.append((made.having(name, value), after))
        else:
            after.pop(name, None)
            known.append((made.without(name), after))
    for made, plain in known:
        assert list(made.items()) == list(plain.items())
        assert len(made) == len(plain)
        assert made == plain
        assert all((key(kind, number) in made) == (key(kind, number) in plain) for number in range(61))


def test_it_says_how_many_it_holds() -> None:
    assert repr(PersistentMap[str, int]().having("a", 1)) == "PersistentMap of 1 entries"


def test_one_entry_more_shares_all_but_the_way_to_it() -> None:
    found = PersistentMap[str, int]()
    for number in range(20_000):
        found = found.having(f"v{number}", number)
    known = {id(node) for node in nodes(found._root)}
    for after in (found.having("new", 1), found.having("v7", 1), found.without("v7")):
        fresh = [node for node in nodes(after._root) if id(node) not in known]
        assert len(fresh) <= 6
        assert all(len(node) <= 17 for node in fresh)


def nodes(root: Any) -> list[Any]:
    """Return every node of a map's tree."""
    below = [node for each in root for node in nodes(each)] if isinstance(root, tuple) else []
    return [root, *below]
