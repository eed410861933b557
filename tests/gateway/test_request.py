"""Bodies of /predict: what is accepted is exact, what is not is a 4xx with the field's path."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.gateway.refusal import RefusedError
from anew.gateway.request import PredictParser
from anew.gateway.row import RequestRow
from anew.gateway.settings import EventClock, GatewaySettings
from anew.testing.fake_predictor import FAKE_COLUMNS

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PARSER = PredictParser(GatewaySettings(model="m", columns=FAKE_COLUMNS))
ROW = {"amount": 1.5, "shop": "a:b", "count": 2, "customer": "c"}


def parse(body: Any, parser: PredictParser = PARSER) -> list[RequestRow]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(parser.parse(data, NOW))


def refused(body: Any, parser: PredictParser = PARSER) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        parse(body, parser)
    assert 400 <= caught.value.status < 500
    return caught.value


def test_rows_and_one_row_are_read() -> None:
    two = parse({"rows": [ROW, ROW | {"amount": None, "shop": None, "age": 7}], "ids": ["x-1", "x:2"]})
    assert two[0] == RequestRow(
        values={"amount": 1.5, "shop": "a:b", "count": 2.0},
        at=NOW,
        timed=False,
        key="c",
        extra={"customer": "c"},
        client_id="x-1",
        asked=two[0].asked,
    )
    assert two[0].asked != two[1].asked
    assert two[1].values == {"amount": None, "shop": None, "count": 2.0}
    assert two[1].extra == {"customer": "c", "age": 7.0}
    assert parse({"row": ROW})[0].values == two[0].values
    assert parse({"row": ROW})[0].asked == b""
    assert isinstance(two[0].values["count"], float)


def test_event_time_comes_from_the_request_or_the_row() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert parse({"row": ROW, "at": "2026-01-01T02:00:00+02:00"})[0].at == at
    assert parse({"row": ROW | {"at": "2026-01-01T00:00:00Z"}, "at": "2025-01-01T00:00:00Z"})[0].at == at
    assert parse({"row": ROW, "at": (NOW + timedelta(minutes=4)).isoformat()})[0].at > NOW
    assert parse({"row": ROW})[0].timed is False


@pytest.mark.parametrize("customer", [7, 7.0])
def test_the_same_number_is_the_same_key_however_it_is_written(customer: float) -> None:
    assert parse({"row": ROW | {"customer": customer}})[0].key == "7"


def test_no_key_leaves_it_to_the_id() -> None:
    assert parse({"row": ROW | {"customer": None}})[0].key == ""


def raw(amount: bytes) -> bytes:
    return b'{"rows":[{"amount":' + amount + b',"shop":"x","count":1,"customer":"c"}]}'


@pytest.mark.fault("V1")
@pytest.mark.parametrize(
    "amount",
    [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"true", b'"1.5"', b'"nan"', b"[1]", b'{"a":1}'],
)
def test_what_is_no_number_is_refused_with_its_path(amount: bytes) -> None:
    assert refused(raw(amount)).path == "rows[0].amount"


@pytest.mark.fault("V1")
def test_odd_numbers_that_are_numbers_are_taken() -> None:
    for text, value in ((b"-0.0", -0.0), (b"5e-324", 5e-324), (b"1e308", 1e308), (b"-9223372036854775808", -(2.0**63))):
        assert parse(raw(text))[0].values["amount"] == value


@pytest.mark.fault("V2")
@pytest.mark.parametrize("amount", [b"9223372036854775808", b"18446744073709551616", b"9" * 5000, b"-" + b"1" * 400])
def test_huge_integers_are_refused_with_their_path(amount: bytes) -> None:
    assert refused(raw(amount)).path == "rows[0].amount"


@pytest.mark.fault("V3")
@pytest.mark.parametrize(
    ("shop", "path"),
    [
        (b'"\\u0000"', "rows[0].shop"),
        (b'"' + b"x" * 8193 + b'"', "rows[0].shop"),
        (b"5", "rows[0].shop"),
        (b'"\\ud800"', "rows[0].shop"),
        (b'"\\udc00x"', "rows[0].shop"),
        (b'"\xff"', ""),
        (b'"\xed\xa0\x80"', "rows[0].shop"),
    ],
)
def test_strings_that_are_none_are_refused(shop: bytes, path: str) -> None:
    assert refused(b'{"rows":[{"amount":1,"shop":' + shop + b',"count":1,"customer":"c"}]}').path == path


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"row":{"shop":"x\\ud800"}}', "row.shop"),
        (b'{"row":{"shop\\ud800":"x"}}', "row"),
        (b'{"\\udfff":1,"\\udfff":2}', ""),
    ],
)
def test_half_of_a_character_is_called_that(body: bytes, path: str) -> None:
    found = refused(body)
    assert (found.status, found.code, found.path) == (400, "malformed", path)
    assert str(found).startswith("the text is no Unicode: \\ud") and str(found).isascii()


@pytest.mark.fault("V3")
@pytest.mark.parametrize(
    "shop", ["\u202egnp.exe", "\u00c4", "A\u0308", "🎉", "</script>", "=cmd()", "__proto__", "a\nb", "x" * 8192]
)
def test_strange_strings_are_kept_as_they_are(shop: str) -> None:
    assert parse({"row": ROW | {"shop": shop}})[0].values["shop"] == shop


@pytest.mark.fault("V4")
@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"row":{"amount":1,"amount":2,"shop":"x","count":1,"customer":"c"}}', "row.amount"),
        (b'{"row":{"amount":1,"amoun\\u0074":2,"shop":"x","count":1,"customer":"c"}}', "row.amount"),
        (b'{"row":{"amount":1,"shop":"x\\u003a","count":1,"count":1,"customer":"c"}}', "row.count"),
        (b'{"rows":[],"rows":[{"amount":1,"shop":"x","count":1,"customer":"c"}]}', "rows"),
        (b'{"row":{"amount":1,"shop":"x","count":1,"customer":"c","age":1,"age":2}}', "row.age"),
        (b'{"row":{"amount":1,"shop":"x","count":1,"customer":"c"},"at":"2026-01-01T00:00:00Z","at":"x"}', "at"),
    ],
)
def test_a_key_that_comes_twice_is_refused_with_its_path(body: bytes, path: str) -> None:
    assert refused(body).path == path


def test_escaped_colons_in_honest_bodies_are_no_reason_to_refuse() -> None:
    body = b'{"row":{"amount":1,"shop":"x\\u003ay:z","count":1,"customer":"c"}}'
    assert parse(body)[0].values["shop"] == "x:y:z"


@pytest.mark.fault("V4")
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"row": ROW | {"y": 1}}, "row.y"),
        ({"row": ROW | {"Amount": 1}}, "row.Amount"),
        ({"row": {"amount": 1, "shop": "x", "customer": "c"}}, "row.count"),
        ({"row": {"amount": 1, "shop": "x", "count": 1}}, "row.customer"),
        ({"row": ROW | {"count": None}}, "row.count"),
        ({"rows": [ROW, 5]}, "rows[1]"),
        ({"rows": ROW}, "rows"),
        ({"rows": []}, "rows"),
        ({"rows": [ROW] * 1001}, "rows"),
        ({"rows": [ROW], "row": ROW}, "rows"),
        ({}, "rows"),
        ({"rows": [ROW], "id": "x"}, "id"),
        ({"rows": [ROW], "ids": ["a", "b"]}, "ids"),
        ({"rows": [ROW], "ids": ["a b"]}, "ids[0]"),
        ({"rows": [ROW], "ids": [""]}, "ids[0]"),
        ({"row": ROW | {"age": [1]}}, "row.age"),
        ([], ""),
        (b"", ""),
        (b"{", ""),
        (b'{"at":"x"} x', ""),
        (b"\xef\xbb\xbf{}", ""),
        (b'{"rows":' + b"[" * 100_000, "rows[0]"),
        (b'{"row":{"amount":' + b'{"a":' * 100_000, "row.amount"),
        (b"[" * 100_000, ""),
    ],
)
def test_bodies_beside_the_contract_are_refused_with_the_path(body: Any, path: str) -> None:
    assert refused(body).path == path


@pytest.mark.fault("V7")
@pytest.mark.fault("L6")
@pytest.mark.parametrize(
    "at",
    [
        "2026-01-01T00:00:00",
        "2026-01-01",
        "yesterday",
        "2026-06-01T12:06:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "1767225600",
        "",
    ],
)
def test_instants_without_zone_or_out_of_time_are_refused(at: str) -> None:
    assert refused({"row": ROW, "at": at}).path == "at"
    assert refused({"rows": [ROW, ROW | {"at": at}]}).path == "rows[1].at"


@pytest.mark.parametrize("at", [1767225600, None, True])
def test_instants_that_are_no_text_are_refused(at: object) -> None:
    assert refused({"row": ROW, "at": at}).path == "at"


def test_where_time_comes_with_the_data_it_is_demanded() -> None:
    parser = PredictParser(GatewaySettings(model="m", columns=FAKE_COLUMNS, clock=EventClock.DATA))
    assert refused({"row": ROW}, parser).path == "at"
    assert parse({"row": ROW, "at": "2011-01-01T00:00:00Z"}, parser)[0].timed


def test_a_long_unknown_name_does_not_come_back_whole() -> None:
    found = refused({"row": ROW | {"x" * 100_000: 1}})
    assert len(str(found)) + len(found.path) < 1000


SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text("a:\x00\u0131\u202e\U0001f389", max_size=4)
JSON = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from(["amount", "at"]), SCALARS, max_size=2)


@pytest.mark.fault("V5")
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("amount", "shop", "count", "customer", "age", "at"), JSON)))
def test_any_row_is_read_exactly_or_refused(row: dict[str, Any]) -> None:
    try:
        (found,) = parse({"rows": [row]})
    except RefusedError as exc:
        assert 400 <= exc.status < 500
    else:
        for name in FAKE_COLUMNS.names:
            sent, read = row[name], found.values[name]
            assert read == (float(sent) if isinstance(sent, int) else sent)  # 2**53 + 1 is the nearest float


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_refused_or_read_never_more(body: bytes) -> None:
    try:
        parse(body)
    except RefusedError as exc:
        assert 400 <= exc.status < 500


VIEWS = Columns(
    time="at",
    target="y",
    task=Task.REGRESSION,
    features=(
        Column(name="view", kind=ColumnKind.VECTOR, width=3),
        Column(name="x", kind=ColumnKind.NUMBER),
    ),
)
VIEW_PARSER = PredictParser(GatewaySettings(model="m", columns=VIEWS))


def test_a_vector_is_read_as_so_many_numbers() -> None:
    found = parse({"rows": [{"view": [1, 2.5, -3e5], "x": 1}, {"view": None, "x": 2}]}, VIEW_PARSER)
    assert [each.values["view"] for each in found] == [(1.0, 2.5, -3e5), None]
    assert all(isinstance(number, float) for number in found[0].values["view"] or ())  # type: ignore[union-attr] # it is a tuple


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("[1, 2]", "rows[0].view"),
        ("[1, 2, 3, 4]", "rows[0].view"),
        ("[]", "rows[0].view"),
        ("3.0", "rows[0].view"),
        ('"123"', "rows[0].view"),
        ('[1, "2", 3]', "rows[0].view[1]"),
        ("[1, 2, null]", "rows[0].view[2]"),
        ("[true, 2, 3]", "rows[0].view[0]"),
        ("[1, [2], 3]", "rows[0].view[1]"),
        ("[1, 1e999, 3]", "rows[0].view[1]"),
        ("[1, 1e308, 3]", "rows[0].view[1]"),
        ("[1, 2, -1.1e100]", "rows[0].view[2]"),
        ("[1, NaN, 3]", "rows[0].view[1]"),
        ("[1, 2, -Infinity]", "rows[0].view[2]"),
    ],
)
def test_a_vector_of_other_things_is_refused_at_its_place(written: str, path: str) -> None:
    found = refused(b'{"rows": [{"view": %s, "x": 1}]}' % written.encode(), VIEW_PARSER)
    assert (found.status, found.path) == (422, path)
