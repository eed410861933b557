"""One sample of every kind of fact, every field filled; run it to freeze the samples that are not frozen yet."""

import dataclasses
import types
import typing
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from anew.adapters.fact_codec import encode
from anew.domain.blend import Blend
from anew.domain.evidence import Counts, Evidence
from anew.domain.fact import Fact
from anew.domain.facts import FACTS, Arm, Stage, TrafficOrdered, TrafficShifted
from anew.domain.interval import Interval

__all__ = ["FROZEN", "freeze", "frozen", "sample"]

FROZEN = Path(__file__).parent / "frozen"

_AT = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
_EVIDENCE = Evidence(
    name="psi", value=0.375, n=500, subject="größe", reference=0.25, low=0.125, high=0.5, confidence=0.9, p_value=0.001
)
_KNOWN: dict[object, object] = {
    str: "text",
    int: 3,
    float: 0.25,
    bool: True,
    datetime: _AT,
    Evidence: _EVIDENCE,
    Interval: Interval(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC)),
    Counts: Counts(low=-1.0, high=1.0, counts=(1, 20, 3)),
    Stage: Stage.CANARY,
    Arm: Arm(version="version ✓", digest="digest ✓", low=0.125, share=0.25),
    Blend: Blend(alone="alone ✓", beside="beside ✓", weight=0.75, snapshot="snapshot ✓", rows=3),
}
_ARMS = tuple(Arm(version=f"v{i}", digest=f"d{i}", low=0.25 * i, share=0.25) for i in (1, 2))
_TRIAL: dict[object, dict[str, object]] = {
    kind: {"stage": Stage.AB, "share": 0.25, "challenger": ("v1", "d1"), "arms": _ARMS}
    for kind in (TrafficShifted, TrafficOrdered)
}
"""What can only go together."""


def sample(kind: type[Fact]) -> Fact:
    """Return a fact of `kind` with no field left at its default."""
    hints = typing.get_type_hints(kind)
    values = {field.name: _value(hints[field.name], field.name) for field in dataclasses.fields(kind)}
    values |= _TRIAL.get(kind, {})
    return kind(**values)  # type: ignore[arg-type]  # the values follow the hints


def frozen(kind: str, schema: int) -> Path:
    """Return the file of the frozen sample."""
    return FROZEN / str(schema) / f"{kind}.json"


def freeze() -> None:
    """Write the samples that are missing; a file that is there is never written again."""
    for name, kind in FACTS.items():
        path = frozen(name, kind.schema)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(encode(sample(kind)))


def _value(hint: Any, name: str) -> object:
    if hint is str:
        return f"{name} ✓"
    if hint in _KNOWN:
        return _KNOWN[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return list(hint)[-1]
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        if arguments[-1] is Ellipsis:
            return (_value(arguments[0], name), _value(arguments[0], name))
        return tuple(_value(argument, name) for argument in arguments)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _value(arguments[0], name)
    raise TypeError(f"no sample for a field {name!r} of type {hint}; add one here")


if __name__ == "__main__":
    freeze()
