"""Which effects have been asked for and not ended: a fold over facts, so nothing else has to remember it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from anew.domain.fact import Fact

__all__ = ["Pending", "beside", "pending_after", "to_begin"]


@dataclass(frozen=True, slots=True)
class Pending:
    """Facts that asked for an effect which has not ended, by id, oldest first."""

    facts: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))


def pending_after(pending: Pending, fact: Fact) -> Pending:
    """Return what is pending after `fact`, which may end one effect and ask for another."""
    if not (fact.asks or fact.ends):
        return pending
    facts = {id: asked for id, asked in pending.facts.items() if not (fact.ends and id == fact.cause)}
    if fact.asks:
        facts[fact.id] = fact
    return Pending(MappingProxyType(facts))


def to_begin(facts: Mapping[str, Fact]) -> tuple[str, ...]:
    """Return the ids of those whose effects may begin, oldest first; of a kind that is run together, the oldest alone.

    However many of such a kind wait, they keep one place of those who run effects, and leave the others to the rest.
    """
    found: list[str] = []
    kinds: set[str] = set()
    for id, fact in facts.items():
        if fact.together and fact.kind in kinds:
            continue
        kinds.add(fact.kind)
        found.append(id)
    return tuple(found)


def beside(fact: Fact, facts: Mapping[str, Fact]) -> tuple[Fact, ...]:
    """Return what else waits and is run together with `fact`, oldest first."""
    return tuple(each for each in facts.values() if fact.together and each.kind == fact.kind and each.id != fact.id)
