"""Observations: predictions served and labels that came back, as journal and lake hold them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from anew.domain.column import Value

__all__ = ["Answer", "Label", "Observation", "Prediction", "ShadowAnswer"]

Probabilities = tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model says to one row: a class label as declared, or a number; and class probabilities in class order."""

    output: float | int | str
    proba: Probabilities = None


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Ground truth for one prediction; `id` is unique per delivery, a repeat of it changes nothing."""

    id: str
    model: str
    prediction: str
    at: datetime
    received_at: datetime
    value: float | int | str
    source: str = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAnswer:
    """What the challenger said to a prediction that is in the journal already: the caller never waited for it.

    It never leaves the journal: the reader puts it into its prediction. `problem` says why there is no `answer`.
    """

    prediction: str
    answer: Answer | None
    problem: str = ""


Observation = Prediction | Label
