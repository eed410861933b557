"""Traits are read back as they were written, or not at all."""

import pytest

from anew.domain.errors import IntegrityError, InvariantError
from anew.monitor import Traits

SOME = Traits(reliance={"a": 0.25, "ß": 0.75}, calendar={"a": "the time"}, rows=256, inertia={"a": 3.5})


def test_traits_come_back() -> None:
    assert Traits.from_json(SOME.to_json()) == SOME
    nothing = Traits(reliance={}, calendar={}, rows=0)
    assert Traits.from_json(nothing.to_json()) == nothing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2, "reliance": {}, "calendar": {}, "rows": 1}',
        '{"schema": 1, "reliance": {"a": NaN}, "calendar": {}, "rows": 1}',
        '{"schema": 1, "reliance": {"a": 2}, "calendar": {}, "rows": 1}',
        '{"schema": 1, "reliance": [], "calendar": {}, "rows": 1}',
        '{"schema": 1, "reliance": {}, "calendar": {}}',
    ],
)
def test_what_is_something_else_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        Traits.from_json(text)


def test_a_share_is_a_share() -> None:
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvariantError):
            Traits(reliance={"a": share}, calendar={}, rows=1)
    for inertia in (0.9, float("nan"), float("inf")):
        with pytest.raises(InvariantError):
            Traits(reliance={}, calendar={}, rows=1, inertia={"a": inertia})
