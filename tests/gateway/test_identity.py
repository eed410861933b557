"""Ids of predictions."""

import uuid
from datetime import UTC, datetime, timedelta

from anew.gateway.identity import Draw, foreign_ids, prediction_id

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_ids_are_valid_version_7_and_ordered_by_event_time() -> None:
    ids = [prediction_id(AT + timedelta(milliseconds=i)) for i in range(100)]
    assert ids == sorted(ids)
    for id in ids:
        parsed = uuid.UUID(id)
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert int(ids[0][:12], 16) == int(AT.timestamp() * 1000)


def test_ids_are_unique_unless_the_caller_repeats_himself() -> None:
    assert len({prediction_id(AT) for _ in range(10_000)}) == 10_000
    assert prediction_id(AT, "m", b"a") == prediction_id(AT, "m", b"a")
    distinct = {prediction_id(AT, "m", b"a"), prediction_id(AT, "n", b"a"), prediction_id(AT, "m", b"b")}
    assert len(distinct) == 3


def test_ids_that_have_no_time_of_an_answer_in_them_are_another_systems() -> None:
    ours = [prediction_id(AT - timedelta(days=days)) for days in range(3)]
    assert foreign_ids(ours, AT) == 0
    assert foreign_ids([prediction_id(AT + timedelta(seconds=1))], AT) == 1
    assert foreign_ids(["0" * 32, f"{42:032x}", "f" * 32], AT) == 3
    assert foreign_ids([uuid.uuid4().hex for _ in range(1000)], AT) > 950, "one in 160 has a time since 1970 in it"


def test_digits_drawn_in_bites_never_come_twice() -> None:
    draw = Draw()
    assert len({prediction_id(AT, draw=draw) for _ in range(10_000)}) == 10_000
    assert {len(draw()) for _ in range(2_000)} == {20}
