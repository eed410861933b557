"""The trace of a caller is kept with what is answered, when the caller samples it and it is one."""

import json
from typing import Any

import pytest

from anew.domain.observation import CALLER_TRACE, Prediction
from anew.gateway.caller_trace import traced
from anew.testing.fake_journal import FakeJournal
from tests.gateway.test_app import ROW, make, post

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"01-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-is-to-come", True),
        (f" {GOOD} ", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"cc-{TRACE}-{SPAN}-01.more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (GOOD.upper(), False),
        (GOOD[:-1], False),
        ("", False),
        ('00-"}]-x-01', False),
    ],
)
def test_what_the_standard_calls_a_sampled_trace_is_kept_and_nothing_else(told: str, kept: bool) -> None:
    journal = FakeJournal()
    status, _ = post(make(journal), "/predict", {"rows": [ROW, ROW]}, {b"traceparent": told.encode()})
    assert status == 200
    expected = {"customer": "c"} | ({CALLER_TRACE: f"{TRACE}-{SPAN}"} if kept else {})
    assert [dict(one.extra) for one in journal.records if isinstance(one, Prediction)] == [expected] * 2


@pytest.mark.parametrize("body", [{"row": ROW, "ids": ["order-7"]}, {"row": ROW}])
def test_a_repeat_in_another_trace_is_the_same_request(body: dict[str, Any]) -> None:
    journal = FakeJournal()
    app = make(journal)
    other = f"00-{TRACE[::-1]}-{SPAN}-01"
    told = [post(app, "/predict", body, {b"traceparent": each.encode()}) for each in (GOOD, other)]
    assert [status for status, _ in told] == [200, 200]
    assert (told[0] == told[1]) == ("ids" in body)
    if "ids" in body:
        elsewhere = post(make(FakeJournal()), "/predict", body, {b"traceparent": other.encode()})
        assert elsewhere == told[0]
    assert json.loads(json.dumps(journal.records[0].extra))[CALLER_TRACE] == f"{TRACE}-{SPAN}"  # type: ignore[union-attr]  # it is a prediction


def test_without_a_trace_the_rows_are_those_that_came() -> None:
    rows: list[Any] = [object()]
    assert traced(rows, {}) is rows
