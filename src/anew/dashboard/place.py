"""Every page and every form of the dashboard by its path, with what it asks of who comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from anew.dashboard.loop import loop_page
from anew.dashboard.record import Record
from anew.dashboard.source import InForce, Source
from anew.domain.access import Permission, Principal
from anew.domain.facts import Order

__all__ = ["ACTS", "NAVIGATION", "PLACES", "Act", "Asking", "Outcome", "Place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a page is made from."""

    record: Record
    source: Source
    policy: InForce
    params: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page; `twin` is the path of its JSON, `title` what the navigation calls it, empty where others lead to it."""

    name: str
    path: str
    twin: str
    build: Callable[[Asking], object]
    title: str = ""
    permission: Permission = Permission.READ


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a form."""

    ok: bool
    title: str
    said: tuple[str, ...]


Do = Callable[[Source, Principal, str, Mapping[str, str]], Sequence[str]]
"""Does what a form asks, for (who, the form's own id, its fields), and says what became of it."""


def _nothing(_source: Source, _who: Principal, _id: str, _fields: Mapping[str, str]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a form posts to; `back` is the page that then says what came of it."""

    path: str
    permission: Permission | None
    title: str = ""
    do: Do = _nothing
    back: Callable[[Mapping[str, str]], str] = lambda _: "/"


def _loop(asking: Asking) -> object:
    record, source = asking.record, asking.source
    beside = source.surroundings(list(record.asked.values()))
    return loop_page(record, beside, asking.policy, source.narrate, source.now())


def _roll_back(source: Source, who: Principal, id: str, fields: Mapping[str, str]) -> Sequence[str]:
    return source.order(
        Order.ROLLBACK,
        who=who,
        command=id,
        reason=fields.get("reason", "").strip()[:500] or "asked for on the dashboard",
        expect=(fields.get("version", ""), fields.get("to", "")),
    )


PLACES: Final[Sequence[Place]] = (Place(name="loop", path="/", twin="/loop.json", title="Loop", build=_loop),)

NAVIGATION: Final = tuple(place for place in PLACES if place.title)

ACTS: Final[Sequence[Act]] = (Act(path="/rollback", permission=Permission.OPERATE, title="Rolled back", do=_roll_back),)
