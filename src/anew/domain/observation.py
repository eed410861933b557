"""Observations: predictions served, labels and feedback that came back, as journal and lake hold them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from anew.domain.column import Value

__all__ = [
    "CALLER_TRACE",
    "IMPLIED",
    "IMPORTED",
    "REVIEWED",
    "Answer",
    "FeedbackEvent",
    "Label",
    "Observation",
    "Prediction",
    "ShadowAnswer",
    "id_prefix",
    "instant_of",
]

Probabilities = tuple[float, ...] | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLI = timedelta(milliseconds=1)


def id_prefix(at: datetime) -> str:
    """Return the 12 hex digits that ids of predictions of the instant `at` begin with; earlier ids sort before it."""
    return f"{max(0, (at - _EPOCH) // _MILLI) & (1 << 48) - 1:012x}"


def instant_of(id: str) -> datetime | None:
    """Return the event time in an id, cut to milliseconds; None where there is none in it."""
    try:
        return _EPOCH + int(id[:12], 16) * _MILLI if len(id) == 32 else None
    except (ValueError, OverflowError):
        return None


# An answer and a prediction are made at every request. A frozen dataclass sets each field by a call, which takes three
# times as long: nobody changes one of these two after it was made, but nothing keeps them from it.


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a model says to one row: a class label as declared, or a number; and class probabilities in class order."""

    output: float | int | str
    proba: Probabilities = None


@dataclass(slots=True, kw_only=True)
class Prediction:
    """One answered request.

    Attributes
    ----------
    id
        Time-ordered (UUIDv7, hex).
    at, received_at
        Event time, and the instant at which the gateway answered; UTC.
    version, arm
        Who answered the caller: `arm` is ``champion``, ``challenger``, or ``fallback`` (the champion answered for a
        challenger that missed its deadline, crashed or answered nonsense, or the champion before it for the champion;
        then `shadow_version` says for whom, and `shadow_problem` why, e.g. ``deadline`` or ``champion error``).
    shadow_version, shadow
        The other model's answer to the same row, when it was asked: the challenger's in shadow, the champion's for a
        request that the challenger answered (where it was computed).
    epoch
        Of the routing under which it was answered.
    """

    id: str
    model: str
    at: datetime
    received_at: datetime
    key: str
    row: Mapping[str, Value]
    version: str
    arm: str
    answer: Answer
    epoch: int
    latency_us: int
    shadow_version: str = ""
    shadow: Answer | None = None
    shadow_problem: str = ""
    extra: Mapping[str, Value] = field(default_factory=dict)


CALLER_TRACE = "_traceparent"
"""Name in `Prediction.extra` of the trace that the request was part of, as ``TRACE-SPAN``; no column is called so."""

REVIEWED, IMPLIED, IMPORTED = "review", "implicit", "history"
"""Sources of the labels that people give in the review queue, that follow from events, and that come with imported
history; nobody else may speak as these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a source says is the truth for one prediction; `id` is unique per delivery, a repeat of it changes nothing.

    Attributes
    ----------
    value
        None withdraws what the source said before.
    source
        Who says it: ``api``, ``user`` (whoever got the answer), ``implicit`` (followed from what happened), or a name.
    revision
        The source's own number for its word on this prediction: the greatest counts, among equal ones the latest.
    """

    id: str
    model: str
    prediction: str
    at: datetime
    received_at: datetime
    value: float | int | str | None
    source: str = "api"
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackEvent:
    """What happened after a prediction, or what somebody thought of it; `id` is unique per delivery.

    Attributes
    ----------
    event
        ``thumb`` (value 1 is up, 0 down), or one that the project declares, such as ``item_purchased``.
    at
        When it happened, in event time.
    """

    id: str
    model: str
    prediction: str
    at: datetime
    received_at: datetime
    event: str
    value: float = 1.0
    source: str = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAnswer:
    """What the challenger said to a prediction that is in the journal already: the caller never waited for it.

    It never leaves the journal: the reader puts it into its prediction. `problem` says why there is no `answer`.
    """

    prediction: str
    answer: Answer | None
    problem: str = ""


Observation = Prediction | Label | FeedbackEvent
