"""Where answers wait for people to look at them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from anew.domain.column import Value

__all__ = ["Asked", "Question", "ReviewItem", "ReviewStore", "Word"]

LabelValue = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """One answer to be looked at; `truth` is known of a question by which labellers are weighed, else None.

    `key` is that of its row; `needed` is how many persons have to say the same; `window` the event time at which its
    window began. `answer` is what the model `version` said, with the probability `score` where it has one.
    """

    prediction: str
    at: datetime
    key: str
    row: Mapping[str, Value]
    reason: str
    propensity: float
    window: datetime
    needed: int = 1
    truth: LabelValue | None = None
    answer: LabelValue | None = None
    score: float | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a labeller is shown: neither the model's answer nor why it is asked; `until` then it is theirs."""

    id: str
    at: datetime
    row: Mapping[str, Value]
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An item in the store with all that people said of it, and what it was settled with (None: it is open)."""

    id: str
    item: ReviewItem
    votes: Sequence[tuple[str, LabelValue]] = ()
    settled: LabelValue | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What goes into the lake about a prediction: a value, or None that withdraws the one before."""

    number: int
    prediction: str
    at: datetime
    said_at: datetime
    value: LabelValue | None
    revision: int
    by: tuple[str, ...] = field(default=())
    agreed: bool = True


class ReviewStore(Protocol):
    """Keeps items, leases, votes and words. Safe for threads and processes; what returned is on the medium.

    Times are wall time, but for an item's. Raises UnavailableError when the store does not answer.
    """

    def reached(self) -> datetime | None:
        """Return the event time up to which answers were chosen; None before the first."""
        ...

    def add(self, items: Sequence[ReviewItem], *, reached: datetime) -> None:
        """Add what was chosen, once for each prediction, and move `reached`, in one transaction."""
        ...

    def lease(self, labeller: str, now: datetime, length: timedelta, *, gold: float) -> Question | None:
        """Give the labeller an item until `now` + `length`; the one that is theirs already, if any; None for none left.

        Nobody else gets it meanwhile. Nobody gets an item that as many have voted on as are wanted, or that they have
        voted on or skipped. With the chance `gold` it is one with a known answer, if there is one that they have not
        had.
        """
        ...

    def answer(self, id: str, labeller: str, value: LabelValue, now: datetime) -> None:
        """Take a vote; the same one again changes nothing.

        Raises
        ------
        NotFoundError
            The labeller was never given this item.
        ConflictError
            It was given to somebody else when their time was up, or is settled, or they have said something else.
        """
        ...

    def skip(self, id: str, labeller: str, now: datetime) -> None:
        """Give an item back, and never get it again; once more changes nothing. Raises as `answer`."""
        ...

    def last_vote(self) -> int:
        """Return a number that every vote, and every change of one, makes greater; 0 before the first."""
        ...

    def labellers(self) -> Collection[str]:
        """Return the names in which anybody has voted, on known answers that are erased as well."""
        ...

    def gold(self) -> Mapping[str, Sequence[tuple[LabelValue, LabelValue]]]:
        """Return, by labeller, what each said to questions with a known answer, and the answer, oldest first."""
        ...

    def voted(self, labellers: Collection[str] = (), items: Collection[str] = ()) -> Sequence[Asked]:
        """Return open items that anybody has voted on, and settled ones on which `labellers` have; `items` as well."""
        ...

    def retold(self) -> tuple[int, Sequence[str]]:
        """Return the items whose votes came, were changed or taken back elsewhere since `counted`, and a number."""
        ...

    def counted(self, number: int) -> None:
        """Take note that what was `retold` under this number has been counted."""
        ...

    def want(self, id: str, votes: int) -> None:
        """Have so many persons asked about an item, all told; at first as many as its `needed`."""
        ...

    def settle(self, id: str, value: LabelValue | None, now: datetime, by: Sequence[str], *, agreed: bool) -> None:
        """Close an item with a value, or open it again with None; a word follows, and the revision goes up."""
        ...

    def words(self, after: int) -> Sequence[Word]:
        """Return the words with numbers above `after`, in order."""
        ...

    def stored(self, number: int) -> None:
        """Drop the words up to this number: the lake has them. Numbers are never given again."""
        ...

    def untold(self) -> Sequence[ReviewItem]:
        """Return the items that no fact has named yet, by window."""
        ...

    def told(self, window: datetime) -> None:
        """Take note that a fact has named the items of the window that began then."""
        ...

    def status(self, now: datetime) -> Mapping[str, Any]:
        """Return counts of items by reason and state, and of each labeller, as plain values."""
        ...

    def forget(self, *, key: str = "", before: datetime | None = None) -> int:
        """Erase items about one key, and those from before an event time, with what was said; return how many.

        Whom to believe is not forgotten with age: what was said to known answers from before that time stays in `gold`,
        without to what, and about whom.
        """
        ...
