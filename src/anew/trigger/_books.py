"""The books of the economic policy, rebuilt from facts: who stood when, what each lost, what was bought for what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateTrained,
    RetiredScored,
    RetiredScoringAsked,
    RetrainRequested,
    RolledBack,
    RolloutObserved,
    SnapshotTaken,
    TrainingEnded,
    TrainingPlanned,
    VersionArchived,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.trigger.economic import Bought, Standing, WindowLosses

__all__ = ["HOPED", "LEVEL", "NAME", "Books", "books_after"]

K = TypeVar("K")
T = TypeVar("T")

NAME = "economic"
"""Of the policy among the triggers of a request."""
HOPED, LEVEL = "hoped for", "level"
"""Numbers of a request that later requests are judged by."""

_KEPT_WINDOWS, _KEPT_VERSIONS, _KEPT_RUNS = 400, 64, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the economic policy remembers; windows are numbered from the length of the first history on.

    Attributes
    ----------
    closed, scored
        Numbers of the next window to close and of the next to be scored; 0 before the first.
    vain
        Requests of the policy since the last promotion: each has come to nothing, or is under way.
    asked
        Numbers of the windows whose losses were asked for, by their start.
    drafts
        By version: how it stands should it serve. Its end is the window that was next to be scored when its rows were
        taken; what came back is as old, and was trained on as many rows, as when it was retired.
    revives
        By version: the retired one whose model it is.
    hoped
        What the request under way hopes for.
    history_s
        Seconds that the first champion's rows span.
    runs_s
        CPU seconds of the last runs that were measured, by version: compute, search and gates, then its rollout's. A
        model that came back was not fitted and is none of them.
    """

    champion: Standing | None = None
    archive: tuple[Standing, ...] = ()
    windows: tuple[WindowLosses, ...] = ()
    closed: int = 0
    scored: int = 0
    since: int = 0
    revived: bool = False
    bought: tuple[Bought, ...] = ()
    hoped: Bought | None = None
    vain: int = 0
    asked: Mapping[datetime, int] = field(default_factory=lambda: MappingProxyType({}))
    drafts: Mapping[str, Standing] = field(default_factory=lambda: MappingProxyType({}))
    digests: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    revives: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    history_s: float = 0.0
    runs_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def level(self) -> float | None:
        """What the champion lost in a window when it was new; None before that was seen."""
        if self.champion is None:
            return None
        name, end = self.champion.name, self.champion.end
        seen = [each.loss[name] for each in self.windows if each.index >= end and name in each.loss][:3]
        return sum(seen) / len(seen) if seen else None

    def draft(self, version: str) -> Standing:
        """Return how a version stands should it serve now."""
        return self.drafts.get(version) or Standing(name=version, end=self.scored)

    def scorable(self, most: int) -> tuple[tuple[str, str], ...]:
        """Return the champion and the last `most` retired ones, trained before the last window, with digests."""
        if self.champion is None:
            return ()
        kept = self.archive[-most:] if most else ()
        known = [each for each in kept if each.end < self.scored and each.name in self.digests]
        return tuple((each.name, self.digests.get(each.name, "")) for each in (self.champion, *known))


def books_after(books: Books, fact: Fact) -> Books:
    """Fold a fact."""
    match fact:
        case WindowClosed():
            return _closed(books, fact)
        case WindowScored() if books.closed and not fact.revision:
            return replace(books, scored=books.scored + 1)
        case RetiredScoringAsked():
            asked = _with(books.asked, fact.window.start, books.scored - 1, _KEPT_WINDOWS)
            return replace(books, asked=asked)
        case RetiredScored() if fact.window.start in books.asked:
            return _scored(books, fact, books.asked[fact.window.start])
        case RetrainRequested() if NAME in fact.triggers:
            return replace(books, hoped=_hope(books, fact), vain=books.vain + 1)
        case RetrainRequested():
            return replace(books, hoped=None)
        case TrainingPlanned():
            return _planned(books, fact)
        case SnapshotTaken() if not fact.champion:
            return replace(books, history_s=fact.span.length.total_seconds())
        case CandidateTrained():
            return _trained(books, fact)
        case TrainingEnded() if fact.compute_s > 0 and fact.version not in books.revives:
            return replace(books, runs_s=_with(books.runs_s, fact.version, fact.compute_s, _KEPT_RUNS))
        case RolloutObserved() if fact.compute_s > 0 and fact.version in books.runs_s:
            taken = books.runs_s[fact.version] + fact.compute_s
            return replace(books, runs_s=MappingProxyType({**books.runs_s, fact.version: taken}))
        case VersionPromoted():
            return _promoted(books, fact.version)
        case VersionArchived():
            return replace(books, archive=tuple(each for each in books.archive if each.name != fact.version))
        case RolledBack() if fact.to and books.champion and fact.to != books.champion.name:
            back = next((each for each in books.archive if each.name == fact.to), None)
            gone = tuple(each for each in books.archive if each.name != fact.to)
            standing = back or books.draft(fact.to)
            return replace(books, champion=standing, archive=gone, since=books.closed, revived=True)
    return books


def _closed(books: Books, fact: WindowClosed) -> Books:
    if books.closed:
        return replace(books, closed=books.closed + 1)
    length = fact.window.length.total_seconds()
    first = max(1, round(books.history_s / length)) if length > 0 else 1
    champion = None if books.champion is None else replace(books.champion, end=first)
    return replace(books, closed=first + 1, scored=first, since=first, champion=champion)


def _scored(books: Books, fact: RetiredScored, index: int) -> Books:
    known = [each for each in fact.evidence if each.measured and each.value is not None]
    found = WindowLosses(
        index=index,
        champion=fact.version,
        loss={each.subject: (each.value or 0.0) * each.n for each in known},
        error={each.subject: ((each.high or 0.0) - (each.value or 0.0)) * each.n for each in known},
    )
    late = books.windows and books.windows[-1].index >= index
    if fact.version not in found.loss or late:
        return books
    return replace(books, windows=(*books.windows, found)[-_KEPT_WINDOWS:])


def _hope(books: Books, fact: RetrainRequested) -> Bought | None:
    numbers = dict(fact.considered)
    if HOPED not in numbers or books.champion is None:
        return None
    level = max(float(numbers[LEVEL]), 1e-9)
    return Bought(old=books.champion.name, new="", rise=float(numbers[HOPED]), level=level)


def _planned(books: Books, fact: TrainingPlanned) -> Books:
    now, revives = Standing(name=fact.version, end=books.scored), books.revives
    if fact.revive:
        revives = _with(revives, fact.version, fact.revive)
        now = next((replace(each, name=fact.version) for each in books.archive if each.name == fact.revive), now)
    return replace(
        books,
        drafts=_with(books.drafts, fact.version, now),
        revives=revives,
        hoped=None if books.hoped is None else replace(books.hoped, new=fact.version),
    )


def _trained(books: Books, fact: CandidateTrained) -> Books:
    draft, both = books.draft(fact.version), fact.both
    if fact.version not in books.revives:  # what came back was not trained on the rows of its run
        rows = fact.rows if both is None else round(both.weight * fact.rows + (1 - both.weight) * both.rows)
        draft = replace(draft, rows=rows)
    return replace(
        books,
        digests=_with(books.digests, fact.version, fact.digest),
        drafts=_with(books.drafts, fact.version, draft),
    )


def _promoted(books: Books, version: str) -> Books:
    old = books.revives.get(version, "")
    archive = (*books.archive, *((books.champion,) if books.champion else ()))
    archive = tuple(each for each in archive if each.name != old)
    hoped = books.hoped
    bought = (*books.bought, hoped) if hoped is not None and hoped.new == version else books.bought
    return replace(
        books,
        champion=books.draft(version),
        archive=archive[-_KEPT_VERSIONS:],
        since=books.closed,
        revived=bool(old),
        bought=bought[-_KEPT_RUNS:],
        hoped=None,
        vain=0,
    )


def _with(mapping: Mapping[K, T], key: K, value: T, most: int = _KEPT_VERSIONS) -> Mapping[K, T]:
    return MappingProxyType(dict([*mapping.items(), (key, value)][-most:]))
