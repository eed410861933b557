"""Which effects have been asked for and not ended: a fold over facts, so nothing else has to remember it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from anew.domain.fact import Fact

__all__ = ["Pending", "pending_after"]


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
