"""What `feedback` of `anew.yaml` may say: what comes back after an answer, whom to believe, what people look at."""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from anew.app.policy_section import Section
from anew.app.secret import is_reference
from anew.domain.observation import IMPLIED, IMPORTED, REVIEWED

__all__ = [
    "FeedbackPolicy",
    "GoldPolicy",
    "ImplicitPolicy",
    "Reference",
    "ReviewPolicy",
    "SenderPolicy",
    "StudioHookPolicy",
    "StudioPolicy",
]

Share = Annotated[float, Field(gt=0, lt=1)]
EventName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

_TAKEN = frozenset({"api", "user", IMPLIED, IMPORTED, REVIEWED})
"""Sources that nobody is: the usual ones, what follows from events, what was imported, what people say in the queue."""


class ImplicitPolicy(Section):
    """Labels that follow from what happened after an answer."""

    event: EventName = Field(description="the event that gives the label")
    within: str = Field(description="event time after the prediction in which it counts")
    then: int | float | str | None = Field(
        default=None, description="label where it happened; unless told the last class, or the event's value"
    )
    otherwise: int | float | str = Field(description="label where it did not happen")


def _by_reference(text: str) -> str:
    """Refuse a secret that stands in the policy."""
    if not is_reference(text):
        raise PydanticCustomError("reference", "it is a secret, so write env:NAME or file:PATH, where it is")
    return text


Reference = Annotated[str, AfterValidator(_by_reference)]


class GoldPolicy(Section):
    """Questions with a known answer, by which labellers are weighed."""

    sources: tuple[str, ...] = Field(min_length=1, description="sources whose labels are known to be right")
    share: Share = Field(default=0.1, description="share of the questions that a labeller gets that are such")
    at_least: int = Field(default=5, ge=1, description="answers to them before anybody is judged by them")
    accuracy: Share = Field(default=0.7, description="share that has to be right; below it, no vote counts")


class StudioHookPolicy(Section):
    """Label Studio calls when somebody has answered, so that it need not be asked so often."""

    url: str = Field(
        pattern=r"^https?://", description="where it reaches this gateway: http(s)://HOST[:PORT]/review/label-studio"
    )
    secret: Reference = Field(description="where the secret is that it sends along: env:NAME or file:PATH")


class StudioPolicy(Section):
    """A Label Studio server in which people answer as well."""

    url: str = Field(pattern=r"^https?://[^@?#]+$", description="its address")
    token: Reference = Field(description="where an access token of it is: env:NAME or file:PATH")
    project: int | None = Field(default=None, ge=1, description="number of its project; unless told one of anew's own")
    answers: bool = Field(default=True, description="show people what the model said, which some then just confirm")
    every: str = Field(default="30s", description="wall time after which it is asked again what people said")
    webhook: StudioHookPolicy | None = Field(default=None, description="have it call when somebody has answered")


class ReviewPolicy(Section):
    """Answers that people look at: `anew label`."""

    per_day: int = Field(ge=1, le=100_000, description="answers in a day of event time, known ones apart")
    confidence_below: Share | None = Field(default=None, description="class probability below which one is unsure")
    ood: Share | None = Field(default=None, description="share of ordinary rows that may pass for strange, e.g. 0.01")
    disagreement: float | None = Field(
        default=None,
        gt=0,
        description="ask where champion and challenger differ; for numbers by so much of the range that errors have",
    )
    random: float = Field(default=0.2, gt=0, le=1, description="share of the quota that is drawn from all answers")
    double: float = Field(default=0.2, ge=0, le=1, description="share on which two persons have to agree")
    within: float = Field(default=0.0, ge=0, description="numbers that are no further apart are the same")
    lease: str = Field(default="15m", description="wall time for which a question is one person's")
    keep: str = Field(default="30d", description="event time after which a question is dropped")
    personal: bool = Field(default=False, description="show labellers personal columns, Label Studio excepted")
    gold: GoldPolicy | None = Field(default=None, description="questions with a known answer")
    label_studio: StudioPolicy | None = Field(default=None, description="a Label Studio server to answer in as well")


class SenderPolicy(Section):
    """A source that signs the labels and the feedback that it sends, as Standard Webhooks describe."""

    source: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="what the source is called")
    secrets: tuple[Reference, ...] = Field(
        min_length=1,
        max_length=4,
        description="where its secret is: env:NAME or file:PATH; a new and an old one while it is changed",
    )

    @field_validator("source")
    @classmethod
    def _its_own(cls, name: str) -> str:
        """Refuse what others are called."""
        if name in _TAKEN:
            raise PydanticCustomError("source", "{name} is what anew calls another source", {"name": repr(name)})
        return name


class FeedbackPolicy(Section):
    """What comes back after an answer, and whom to believe."""

    events: tuple[EventName, ...] = Field(default=(), description="events that POST /feedback takes, besides thumbs")
    implicit: ImplicitPolicy | None = Field(default=None, description="labels that follow from an event")
    trust: tuple[str, ...] = Field(default=(), description="sources of labels, most trusted first")
    review: ReviewPolicy | None = Field(default=None, description="answers that people look at")
    webhooks: tuple[SenderPolicy, ...] = Field(default=(), description="sources that sign what they send")
    park: str = Field(default="30d", description="how long a label that comes first waits for its prediction")
    revise: str = Field(
        default="35d",
        description="event time in which what comes after a window's labels are mature scores it again; 30d or more",
    )

    @field_validator("webhooks")
    @classmethod
    def _one_each(cls, senders: tuple[SenderPolicy, ...]) -> tuple[SenderPolicy, ...]:
        """Refuse a source that stands twice."""
        names = [each.source for each in senders]
        if len(set(names)) < len(names):
            raise PydanticCustomError("source", "a source stands twice; give it both secrets in one place")
        return senders
