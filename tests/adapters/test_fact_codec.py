"""Facts keep their bytes: frozen samples, exact round trips, and refusals where something would be lost."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.adapters.fact_codec import decode, encode, readers
from anew.domain.errors import IntegrityError, InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import FACTS, RetrainCommanded, Ticked, TrafficShifted, TrainingEnded
from tests.adapters.fact_samples import FROZEN, frozen, sample

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", sorted(FACTS))
def test_every_kind_keeps_its_frozen_bytes(name: str) -> None:
    kind = FACTS[name]
    path = frozen(name, kind.schema)
    assert path.exists(), f"freeze the new schema with: python {Path(__file__).parent / 'fact_samples.py'}"
    assert encode(sample(kind)) == path.read_bytes(), (
        f"the bytes of {name} changed; raise its schema, keep a reader of the old number, freeze the new sample"
    )


@pytest.mark.parametrize("path", sorted(FROZEN.glob("*/*.json")), ids=lambda path: f"{path.stem}-{path.parent.name}")
def test_every_frozen_sample_is_still_read(path: Path) -> None:
    schema = int(path.parent.name)
    fact = decode(path.stem, schema, path.read_bytes())
    assert fact.kind == path.stem
    if schema == FACTS[path.stem].schema:
        assert fact == sample(FACTS[path.stem])


def test_samples_and_readers_are_the_same_set() -> None:
    assert {(path.stem, int(path.parent.name)) for path in FROZEN.glob("*/*.json")} == readers()


def test_samples_leave_no_field_at_its_default() -> None:
    for kind in FACTS.values():
        fact = sample(kind)
        for field in dataclasses.fields(kind):
            assert getattr(fact, field.name) != field.default, f"{kind.__name__}.{field.name}"


@pytest.mark.parametrize("kind", ["Unheard", ""])
def test_an_unknown_kind_is_named(kind: str) -> None:
    with pytest.raises(IntegrityError, match=f"kind '{kind}', schema 1, but the kind is unknown"):
        decode(kind, 1, b"{}")


def test_an_unknown_schema_is_named_with_the_known_ones() -> None:
    with pytest.raises(IntegrityError, match=r"kind 'Ticked', schema 99, but schemas \[1, 2, 3\] are known"):
        decode("Ticked", 99, encode(sample(Ticked)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'{"model":"m","at":"2026-01-01T00:00:00Z","id":"","cause":""}',
        b'{"model":"m","at":"2026-01-01T00:00:00","id":"","cause":"","wall":"2026-01-01T00:00:00Z"}',
        b'{"model":"","at":"2026-01-01T00:00:00Z","id":"","cause":"","wall":"2026-01-01T00:00:00Z"}',
        b'{"model":7,"at":"2026-01-01T00:00:00Z","id":"","cause":"","wall":"2026-01-01T00:00:00Z"}',
    ],
    ids=["empty", "null", "field missing", "naive", "invariant", "wrong type"],
)
def test_a_body_that_is_no_such_fact_is_refused(body: bytes) -> None:
    with pytest.raises(IntegrityError, match="stored Ticked of schema 1 cannot be read"):
        decode("Ticked", 1, body)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_not_stored(number: float) -> None:
    fact = TrainingEnded(model="m", at=AT, version="v1", outcome="failed", detail="", compute_s=number)
    with pytest.raises(InvariantError, match="TrainingEnded"):
        encode(fact.caused_by("x"))


def test_a_lone_surrogate_is_not_stored() -> None:
    with pytest.raises(InvariantError, match="cannot be stored"):
        encode(RetrainCommanded(model="m", at=AT, command="c", by="\ud800", reason=""))


def test_a_list_where_a_tuple_belongs_is_not_stored() -> None:
    fact = sample(TrafficShifted)
    listed = dataclasses.replace(fact, champion=["v1", "d"])  # type: ignore[call-arg]  # the wrong type is the point
    with pytest.raises(InvariantError, match="another fact"):
        encode(listed)


def test_a_kind_that_is_not_listed_is_not_stored() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Unlisted(Fact):
        """A fact that nobody could read back."""

    with pytest.raises(InvariantError, match="Unlisted"):
        encode(Unlisted(model="m", at=AT))


@given(
    by=st.text(st.characters(exclude_categories=["Cs"])),
    at=st.datetimes(timezones=st.just(UTC)) | st.datetimes(timezones=st.just(timezone(timedelta(hours=5, minutes=45)))),
)
def test_text_and_instants_come_back(by: str, at: datetime) -> None:
    if not 1 < at.year < 9999:
        return
    fact = RetrainCommanded(model="m", at=at, command="c", by=by, reason="").caused_by("")
    assert decode("RetrainCommanded", 1, encode(fact)) == fact


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_to_the_last_bit(number: float) -> None:
    fact = TrainingEnded(model="m", at=AT, version="v", outcome="failed", detail="", compute_s=number)
    back = decode("TrainingEnded", 1, encode(fact))
    assert isinstance(back, TrainingEnded)
    assert back.compute_s.hex() == number.hex()
