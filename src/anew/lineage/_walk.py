"""Lineage: from a version back to the window that began it."""

from collections.abc import Iterable, Mapping, Sequence

from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained, RetrainApproved, TrainingPlanned, VersionPromoted

__all__ = ["causes", "history_of", "index"]


def index(facts: Iterable[Fact]) -> Mapping[str, Fact]:
    """Return the facts by id, in order of recording."""
    return {fact.id: fact for fact in facts}


def causes(facts: Mapping[str, Fact], fact: Fact) -> Sequence[Fact]:
    """Return the chain of causes of `fact`, itself first, the fact from outside that began it last."""
    chain = [fact]
    while (cause := _cause(chain[-1])) and cause in facts:
        chain.append(facts[cause])
    return chain


def _cause(fact: Fact) -> str:
    """Return what led to a fact: for a consent that came late, the request, and not what ended the waiting."""
    return (fact.request if isinstance(fact, RetrainApproved) else "") or fact.cause


def history_of(facts: Mapping[str, Fact], version: str) -> Sequence[Fact]:
    """Return why `version` exists and what became of it, oldest first.

    The causes of its plan, and every later fact that names it.

    Raises
    ------
    NotFoundError
        No version of this name was ever planned.
    """
    plan = next(
        (fact for fact in facts.values() if isinstance(fact, TrainingPlanned) and fact.version == version), None
    )
    if plan is None:
        known = [fact.version for fact in facts.values() if isinstance(fact, TrainingPlanned)]
        raise NotFoundError(f"there is no version {version!r}; known are {', '.join(known) or 'none yet'}")
    before = list(reversed(causes(facts, plan)[1:]))
    named = [fact for fact in facts.values() if _names(fact, version) and fact not in before]
    return [*before, *named]


def _names(fact: Fact, version: str) -> bool:
    if isinstance(fact, CandidateTrained | TrainingPlanned):
        return fact.version == version
    if isinstance(fact, VersionPromoted):
        return version in (fact.version, fact.previous)
    served = getattr(fact, "challenger", ("",)) or ("",)
    return (getattr(fact, "version", "") == version and fact.kind not in _ABOUT_WINDOWS) or served[0] == version


_ABOUT_WINDOWS = frozenset({"WindowClosed", "WindowScored", "AlertRaised"})
