"""Lineage: from a version back to the window that began it."""

from collections.abc import Iterator, Sequence
from itertools import dropwhile

from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import RetrainApproved, RolledBack, RolloutStarted, VersionPromoted
from anew.lineage._index import FactsById, Indexed

__all__ = ["causes", "history_of", "returns_of"]

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

    The causes of its plan, every later fact that names it, and what brought it back as champion.

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
    after = [fact for fact in facts.naming(version) if fact.id not in known_before]
    returns = list(returns_of(facts, version))
    return [*before, *(facts.ordered([*after, *returns]) if returns else after)]


def returns_of(facts: Indexed, version: str) -> Iterator[RolledBack]:
    """Yield how each champion that took the place of `version` was taken back to it, in order.

    Challengers that are taken back leave whom they were beside where it was, and are not among them.
    """
    for promoted in facts.naming(version):
        if not isinstance(promoted, VersionPromoted) or promoted.previous != version:
            continue
        later = dropwhile(lambda fact, begin=promoted.id: fact.id != begin, facts.naming(promoted.version))  # type: ignore[misc]  # bound at once
        end = next((fact for fact in later if isinstance(fact, RolledBack | RolloutStarted)), None)
        if isinstance(end, RolledBack) and end.to == version:
            yield end
