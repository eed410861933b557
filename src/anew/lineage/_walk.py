"""Lineage: from a version back to the window that began it."""

from collections.abc import Sequence

from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import RetrainApproved
from anew.lineage._index import FactsById, Indexed

__all__ = ["causes", "history_of"]

_MOST_KNOWN = 20


def causes(facts: FactsById, fact: Fact) -> Sequence[Fact]:
    """Return the chain of causes of `fact`, itself first, the fact from outside that began it last."""
    chain = [fact]
    while (cause := _cause(chain[-1])) and cause in facts:
        chain.append(facts[cause])
    return chain


def _cause(fact: Fact) -> str:
    """Return what led to a fact: for a consent that came late, the request, and not what ended the waiting."""
    return (fact.request if isinstance(fact, RetrainApproved) else "") or fact.cause


def history_of(facts: Indexed, version: str) -> Sequence[Fact]:
    """Return why `version` exists and what became of it, oldest first.

    The causes of its plan, and every later fact that names it.

    Raises
    ------
    NotFoundError
        No version of this name was ever planned.
    """
    plan = facts.plan(version)
    if plan is None:
        known, many = facts.planned(_MOST_KNOWN)
        most = f"the newest {_MOST_KNOWN} of {many} are" if many > _MOST_KNOWN else "known are"
        raise NotFoundError(f"there is no version {version!r}; {most} {', '.join(known) or 'none yet'}")
    before = list(reversed(causes(facts, plan)[1:]))
    known_before = {each.id for each in before}
    return [*before, *(fact for fact in facts.naming(version) if fact.id not in known_before)]
