"""Facts as JSON and back, by kind and schema number.

The bytes of a fact are what its hash covers, so they may not change unnoticed: `tests/adapters/frozen` holds one
sample for each kind and schema number. To change a fact, raise its `schema`, move a reader of the old number into
`_OLD`, and add the new sample.
"""

from collections.abc import Callable, Mapping
from functools import cache

import msgspec

from anew.domain.errors import IntegrityError, InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import FACTS

__all__ = ["decode", "encode", "readers"]

Reader = Callable[[bytes], Fact]

_ENCODER = msgspec.json.Encoder(order="deterministic")


def readers() -> frozenset[tuple[str, int]]:
    """Return every (kind, schema) that can be read."""
    return frozenset(_OLD) | {(kind, fact.schema) for kind, fact in FACTS.items()}


def encode(fact: Fact) -> bytes:
    """Return the canonical JSON of `fact`: its fields in order of declaration, instants as RFC 3339.

    Raises
    ------
    InvariantError
        `fact` would not come back as it is: an unknown kind, a number that is not finite, text that is not Unicode.
    """
    if FACTS.get(fact.kind) is not type(fact):
        raise InvariantError(f"{fact.kind} is no fact that can be stored; add it to anew.domain.facts.FACTS")
    try:
        body = _ENCODER.encode(fact)
        back = _current(fact.kind)(body)
    except (msgspec.MsgspecError, TypeError, UnicodeError, ValueError) as exc:
        raise InvariantError(f"{fact.kind} {fact.id!r} cannot be stored: {exc}") from exc
    if back != fact:
        raise InvariantError(
            f"{fact.kind} {fact.id!r} would be read back as another fact; one of its fields is no JSON"
        )
    return body


def decode(kind: str, schema: int, body: bytes) -> Fact:
    """Return the fact that was stored as `body` under `kind` and `schema`.

    Raises
    ------
    IntegrityError
        No reader knows this kind and schema, or the body is not such a fact.
    """
    try:
        return _reader(kind, schema)(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, InvariantError) as exc:
        raise IntegrityError(f"a stored {kind} of schema {schema} cannot be read: {exc}; found {body[:200]!r}") from exc


def _reader(kind: str, schema: int) -> Reader:
    if kind in FACTS and FACTS[kind].schema == schema:
        return _current(kind)
    old = _OLD.get((kind, schema))
    if old is None:
        known = sorted(number for name, number in readers() if name == kind)
        hint = f"schemas {known} are known" if known else "the kind is unknown"
        raise IntegrityError(
            f"a stored fact is of kind {kind!r}, schema {schema}, but {hint}; "
            "it was written by a newer anew or altered: upgrade anew, or run `anew doctor`"
        )
    return old


@cache
def _current(kind: str) -> Reader:
    reader: Reader = msgspec.json.Decoder(FACTS[kind]).decode
    return reader


_OLD: Mapping[tuple[str, int], Reader] = {
    # What later schemas added has a default: what the fact meant before. What changes otherwise needs a reader here.
    (kind, schema): _current(kind)
    for kind, fact in FACTS.items()
    for schema in range(1, fact.schema)
}
"""Readers of schema numbers that are no longer written; they stay for ever."""
