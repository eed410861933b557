"""One answer at a time for a person to judge: the row alone, neither what the model said nor why it is asked."""

from dataclasses import dataclass

from anew.dashboard.asking import Asking
from anew.dashboard.source import Desk
from anew.ports.review import LabelValue, Question

__all__ = ["ReviewPage", "review_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPage:
    """All of it; without an `item` there is nothing to do, and without `asks` the policy asks nobody."""

    asks: bool
    item: Question | None
    target: str
    classes: tuple[LabelValue, ...]
    open: int
    leased: int
    oldest: str
    answered: int
    skipped: int


def review_page(asking: Asking) -> ReviewPage:
    """Make the page; it gives the person a question, the one that is theirs already if any."""
    desk = asking.source.review(asking.who)
    found = desk or Desk(question=None, target="", classes=(), open=0, leased=0, oldest="", answered=0, skipped=0)
    return ReviewPage(
        asks=desk is not None,
        item=found.question,
        target=found.target,
        classes=found.classes,
        open=found.open,
        leased=found.leased,
        oldest=found.oldest,
        answered=found.answered,
        skipped=found.skipped,
    )
