"""A request that a caller traces goes on in that very trace, from what the lake has of it."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from anew.adapters.otlp_sink import request_context, span_id
from anew.app.settings import load
from anew.app.stores import open_stores
from anew.app.traces import trace_sink
from anew.domain.facts import WindowClosed
from anew.domain.interval import Interval
from anew.domain.observation import CALLER_TRACE, Answer, Prediction
from anew.ports.eventlog import Recorded
from tests.adapters.receiver import receiver
from tests.app.small_project import YAML
from tests.cli.recorded import AT, write_record

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MINUTE = timedelta(minutes=1)
WINDOW = Interval(start=AT, end=AT + timedelta(days=1))


def told(project: Path, requests: int) -> Sequence[Span]:
    """Have twenty answers in the lake, the last of which a caller traces; return the spans of their requests."""
    with receiver() as there:
        (project / "anew.yaml").write_text(
            f"{YAML}\nevents: {{traces: {{url: '{there.url}', requests: {requests}}}}}\n", "utf-8"
        )
        settings = load(project)
        predictions = [
            Prediction(
                id=f"{i:032x}", model="small", at=AT + i * MINUTE, received_at=AT + i * MINUTE, key="", version="v1",
                row={"x": 1.0, "z": 0.5}, arm="champion", epoch=1, latency_us=900, answer=Answer(output=1),
                extra={CALLER_TRACE: f"{TRACE}-{SPAN}"} if i == 19 else {},
            )
            for i in range(20)
        ]  # fmt: skip
        with open_stores(settings) as stores:
            stores.lake.append("w0", 20, predictions)
        closed = WindowClosed(
            model="small", at=WINDOW.end, version="v1", window=WINDOW, n=20, rows="9" * 64, evidence=()
        ).caused_by("")
        trace_sink(settings).take(Recorded(seq=1, recorded_at=WINDOW.end, fact=closed))
        ((_, body),) = there.got
    found = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    assert {(link.trace_id, link.span_id) for link in found[-1].links} == {
        (each.trace_id, each.span_id) for each in found[:-1]
    }
    return list(found[:-1])


@pytest.mark.parametrize("requests", [1, 5, 50])
def test_what_a_caller_traces_is_a_child_of_its_span_and_is_told_first(tmp_path: Path, requests: int) -> None:
    spans = told(write_record(tmp_path / "small"), requests)
    assert len(spans) == min(requests, 20)
    (ours,) = [span for span in spans if span.trace_id.hex() == TRACE]
    assert (ours.parent_span_id.hex(), ours.span_id) == (SPAN, span_id(f"{19:032x}"))
    assert ours.end_time_unix_nano - ours.start_time_unix_nano == 900_000
    for span in spans:
        if span is not ours:
            assert not span.parent_span_id
            prediction = next(each.value.string_value for each in span.attributes if each.key == "anew.prediction")
            assert (span.trace_id, span.span_id) == request_context(prediction)


def test_control_no_request_is_told_where_none_is_wanted(tmp_path: Path) -> None:
    assert told(write_record(tmp_path / "small"), 0) == []
