"""How an effect that came to nothing is put on record."""

from anew.domain.fact import Fact
from anew.domain.facts import EffectFailed

__all__ = ["failure"]


def failure(fact: Fact, reason: str, detail: str, compute_s: float = 0.0) -> EffectFailed:
    """Return the fact that the effect asked for by `fact` came to nothing."""
    return EffectFailed(
        model=fact.model,
        at=fact.at,
        cause=fact.id,
        effect=fact.asks,
        version=getattr(fact, "version", ""),
        reason=reason,
        detail=detail,
        compute_s=compute_s,
    )
