"""A project's review: what people are asked about, where it is kept, and what somebody at a terminal does with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from anew.adapters.review_db import ReviewDB
from anew.adapters.system_clock import SystemClock
from anew.app.duration import parse_duration
from anew.app.labelling import labelling_hook
from anew.app.person import ACCOUNT, person_of
from anew.app.policy import ReviewPolicy
from anew.app.settings import Settings
from anew.app.stores import review_file
from anew.domain.column import out_of_reach
from anew.domain.errors import NotFoundError, SchemaError
from anew.feedback.choice import ReviewRule
from anew.feedback.vote import Gold
from anew.gateway.review_desk import ReviewDesk
from anew.loop.observer_plan import Review
from anew.ports.review import LabelValue, ReviewStore

__all__ = ["label_value", "open_review", "review_desk", "review_lease", "review_of"]


def review_of(settings: Settings, store: ReviewStore) -> Review | None:
    """Return what is reviewed; None without a policy for it."""
    policy = settings.policy.feedback.review
    if policy is None:
        return None
    gold = policy.gold
    rule = ReviewRule(
        per_day=policy.per_day,
        confidence_below=policy.confidence_below,
        ood=policy.ood,
        disagreement=policy.disagreement,
        random=policy.random,
        double=policy.double,
        gold_share=gold.share if gold else 0.0,
        gold_sources=gold.sources if gold else (),
    )
    believed = Gold() if gold is None else Gold(at_least=gold.at_least, accuracy=gold.accuracy)
    return Review(
        rule=rule,
        store=store,
        gold=believed,
        within=policy.within,
        keep=parse_duration(policy.keep),
        person=partial(_person, settings.state),
        hidden=frozenset(() if policy.personal else settings.policy.columns.personal),
    )


def review_desk(settings: Settings) -> ReviewDesk | None:
    """Return what a gateway hands questions out with; None without a policy for it."""
    if settings.policy.feedback.review is None:
        return None
    lease, gold = review_lease(settings)
    store = ReviewDB(review_file(settings.state))
    return ReviewDesk(store, settings.columns, SystemClock().now, lease=lease, gold=gold, hook=labelling_hook(settings))


@contextmanager
def open_review(settings: Settings) -> Iterator[ReviewDB]:
    """Open the queue of a project that has one.

    Raises
    ------
    NotFoundError
        It has none: the policy asks nobody, or it was never brought up.
    """
    _policy(settings)
    file = review_file(settings.state)
    if not file.exists():
        raise NotFoundError(f"there is no queue in {settings.state}; bring the project up first (anew up)")
    store = ReviewDB(file)
    try:
        yield store
    finally:
        store.close()


def review_lease(settings: Settings) -> tuple[timedelta, float]:
    """Return for how long a question is one person's, and the share of those with a known answer."""
    policy = _policy(settings)
    return parse_duration(policy.lease), policy.gold.share if policy.gold else 0.0


def label_value(text: str, settings: Settings) -> LabelValue:
    """Return a label as it is declared from how it is written: a class, or a number.

    Raises
    ------
    SchemaError
        It is neither.
    """
    columns = settings.columns
    if columns.task.classifies:
        found = [each for each in columns.classes if str(each) == text]
        if not found:
            raise SchemaError(f"{text!r} is none of the classes {', '.join(map(str, columns.classes))}")
        return found[0]
    try:
        number = float(text)
    except ValueError as exc:
        raise SchemaError(f"{text!r} is no number") from exc
    if problem := out_of_reach(number):
        raise SchemaError(problem)
    return number


def _person(state: Path, name: str) -> str:
    """Return who votes in a name: a person, or where nobody has said who that is, whoever has the same name."""
    found = person_of(state, name)
    return name.removeprefix(ACCOUNT) if found is None else found.name


def _policy(settings: Settings) -> ReviewPolicy:
    policy = settings.policy.feedback.review
    if policy is None:
        raise NotFoundError("nobody is asked anything: write feedback: {review: {per_day: 50}} into anew.yaml")
    return policy
