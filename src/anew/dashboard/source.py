"""What the pages ask of the world: the record, what stands beside it, and the commands that a person may give."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from anew.domain.access import Principal
from anew.domain.fact import Fact
from anew.domain.facts import Order, WindowClosed
from anew.domain.health import Finding
from anew.lineage import Indexed, Lineage
from anew.ports.eventlog import Recorded
from anew.ports.review import LabelValue, Question
from anew.rollout import Rollout
from anew.trigger import Trigger

__all__ = [
    "MOST_WAITING",
    "Artifact",
    "Bar",
    "Consent",
    "Desk",
    "InForce",
    "Log",
    "Neighbour",
    "RecordReader",
    "Shift",
    "Source",
    "Surroundings",
    "Tried",
    "Worker",
]

MOST_WAITING = 10_000

Consent = Literal["approve", "override", "reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a living gateway worker said last of itself."""

    worker: str
    port: int
    epoch: int
    at: str
    problem: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the record does not hold.

    Attributes
    ----------
    holder
        Who runs the loop; empty when nobody does.
    waiting
        Observations that gateways have acknowledged and the lake has not yet, at most `MOST_WAITING`; None when that
        cannot be read.
    stored
        Rows of each table of the lake; None before there is one.
    runs
        What is under way, with how far it is, as `anew run show` says it.
    to_review
        Answers that people are asked about and have not judged.
    mirror
        How the mirror stands, None without one.
    """

    holder: str
    workers: tuple[Worker, ...]
    waiting: int | None
    stored: Mapping[str, int] | None
    runs: tuple[Mapping[str, Any], ...]
    mirror: Mapping[str, str] | None
    to_review: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The project's policy as it is in force.

    Attributes
    ----------
    text
        The settings file itself.
    label_delay
        Age at which a label is mature.
    others
        Other projects whose models are listed beside this one.
    compute_hour
        Money of an hour of CPU; 0 where the policy names none.
    """

    model: str
    task: str
    settings: str
    code: str
    text: str
    label_delay: timedelta
    rollout: Rollout
    trigger: Trigger
    others: tuple[str, ...] = ()
    compute_hour: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A trial of a search: how it ended, its metric (None without), what it tried, and why it failed."""

    number: int
    state: str
    value: float | None
    params: Mapping[str, str]
    problem: str
    best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a stored version says of itself.

    Attributes
    ----------
    files
        Sizes in bytes by name.
    search, trials
        What was searched by, and every trial; empty where nothing was.
    """

    format: str
    inputs: int
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    files: Mapping[str, int]
    search: Mapping[str, str]
    trials: tuple[Tried, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The end of what a job wrote for an effect."""

    effect: str
    name: str
    tail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The share of rows in one part of a column's values, then and now."""

    name: str
    reference: float
    current: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far a column of a window is from the rows that its version was trained on.

    Attributes
    ----------
    effect
        By how much that alone would change the mean loss, in [-1, 1], if the version erred in each part of the column
        as it did on `held` rows that it was not trained on; None where that is not known.
    """

    column: str
    kind: str
    psi: float
    p_value: float | None
    ks: float | None
    bars: tuple[Bar, ...]
    effect: float | None = None
    held: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a person has to judge, None for nothing; how much there is to do, and how much they did."""

    question: Question | None
    target: str
    classes: tuple[LabelValue, ...]
    open: int
    leased: int
    oldest: str
    answered: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another project, as it is to somebody who asks.

    Attributes
    ----------
    name
        What the policy calls it.
    source
        Where its pages' data come from; None where `problem` says why this person sees nothing of it.
    address
        Where its own pages are, empty when nobody serves them.
    """

    name: str
    source: "Source | None" = None
    address: str = ""
    problem: str = ""


class RecordReader(Protocol):
    """The record while something is made from it: single facts, each found by an index. Not thread-safe.

    Facts are only ever added; what is not there is left out.
    """

    def head(self) -> int:
        """Return the number of the last fact; 0 for none."""
        ...

    def mark(self, seq: int) -> str:
        """Return what tells the record up to number `seq` from every other; empty when it is shorter."""
        ...

    def after(self, seq: int, most: int) -> Sequence[Recorded]:
        """Return the next facts after number `seq`, at most so many."""
        ...

    def at(self, seqs: Sequence[int]) -> Sequence[Recorded]:
        """Return the facts with these numbers, in order of number."""
        ...

    def find(self, id: str) -> Recorded | None:
        """Return the fact with this id."""
        ...

    def caused_by(self, id: str) -> Sequence[Recorded]:
        """Return the facts whose cause is the one with this id, in order of number."""
        ...


class Source(Protocol):
    """Where the pages' data come from, and where commands go. Thread-safe.

    What is read may raise any `AnewError`; a page then says so. Commands raise a ConflictError when something else was
    expected than there is, a PolicyError when there is nothing to be done.
    """

    def now(self) -> datetime:
        """Return the time on the wall."""
        ...

    def head(self) -> int:
        """Return the number of the last fact; 0 without a record."""
        ...

    def facts(self, after: int) -> Iterable[Recorded]:
        """Yield the facts after number `after`, in order; none when there is no record yet."""
        ...

    def reading(self) -> AbstractContextManager[RecordReader]:
        """Open the record for one page; one without facts where there is no record yet."""
        ...

    def catalogue(self) -> Path | None:
        """Return the file in which what was found in the record may be kept; None: nowhere."""
        ...

    def surroundings(self, asked: Sequence[Fact]) -> Surroundings:
        """Return what stands beside the record; `asked` are the facts whose effects have not ended."""
        ...

    def in_force(self) -> InForce:
        """Return the policy in force."""
        ...

    def others(self, who: Principal) -> Sequence[Neighbour]:
        """Return the other projects that the policy in force lists, each only as far as it lets this person in."""
        ...

    def narrate(self, fact: Fact) -> str:
        """Say a fact in one sentence."""
        ...

    def lineage(self, subject: str, facts: Indexed) -> Lineage:
        """Return the lineage of a version, a prediction or a fact; `facts` are what of the record a lineage needs."""
        ...

    def artifact(self, digest: str) -> Artifact:
        """Return what a stored version says of itself."""
        ...

    def logs(self, asked: Sequence[Fact]) -> Sequence[Log]:
        """Return what the jobs of these facts wrote last."""
        ...

    def shifts(self, window: WindowClosed, digest: str) -> Sequence[Shift]:
        """Return how far each column of a window moved, which the version with this digest served."""
        ...

    def findings(self) -> tuple[datetime | None, Sequence[Finding]]:
        """Return what the last examination found, and when; another begins meanwhile where that is long ago."""
        ...

    def backtested(self) -> tuple[datetime | None, Mapping[str, Any] | None]:
        """Return the data of the project's last ``anew.backtest/1``, and when it ended; None before the first."""
        ...

    def review(self, who: Principal) -> Desk | None:
        """Give somebody a question, the one that is theirs already if any; None where nobody is asked anything."""
        ...

    def answer(self, who: Principal, item: str, value: str) -> None:
        """Take what somebody says is true of the question that is theirs."""
        ...

    def skip(self, who: Principal, item: str) -> None:
        """Take back a question that somebody does not want."""
        ...

    def order(
        self, action: Order, *, who: Principal, command: str, reason: str, expect: tuple[str, str]
    ) -> Sequence[str]:
        """Order the gateways and say what became of it.

        Parameters
        ----------
        command
            Its unique id.
        expect
            Which version the order is to take off traffic, and which is to serve then.
        """
        ...

    def sign(
        self, how: Consent, *, who: Principal, candidate: tuple[str, str], gate: str, reason: str
    ) -> Sequence[str]:
        """Sign for a gate of a candidate, or for its promotion, and say what became of it.

        Parameters
        ----------
        candidate
            The version that the person was shown, and its digest.
        """
        ...
