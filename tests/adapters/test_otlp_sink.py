"""Traces at a real receiver, read by the official messages: from a request one comes by links to the promotion."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from anew.adapters.otlp_sink import STAGES, OTLPSink, ServedRequest, request_context, span_id, version_trace
from anew.adapters.outbound import Outbound
from anew.domain.errors import UnavailableError
from anew.domain.facts import (
    FACTS,
    AlertRaised,
    RolloutStarted,
    RolloutSuperseded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
)
from anew.ports.eventlog import Recorded
from tests.adapters.receiver import Receiver, receiver
from tests.laws.telling import Teller, warmed

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Key = tuple[bytes, bytes]


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture(scope="module")
def record() -> Sequence[Recorded]:
    """The record of a story in which a champion was replaced after an alert about a window."""
    for seed in range(500):
        facts = Teller().tell(warmed(seed)).facts
        by_id = {fact.id: fact for fact in facts}
        promoted = {fact.version for fact in facts if isinstance(fact, VersionPromoted) and fact.previous}
        for plan in (fact for fact in facts if isinstance(fact, TrainingPlanned) and fact.version in promoted):
            cause: Any = plan
            while cause.cause in by_id and not isinstance(cause, AlertRaised):
                cause = by_id[cause.cause]
            if isinstance(by_id.get(cause.cause), WindowClosed):
                return [
                    Recorded(seq=i + 1, recorded_at=T0 + i * timedelta(seconds=1), fact=fact)
                    for i, fact in enumerate(facts)
                ]
    raise AssertionError("no story has a champion replaced after an alert about a window")


def served(window: WindowClosed) -> list[ServedRequest]:
    """Return two requests of a window."""
    return [
        ServedRequest(
            prediction=window.id[:26] + f"{i:06x}",
            answered_at=T0 - timedelta(hours=1),
            took=timedelta(microseconds=1500),
            version=window.version,
            arm="champion",
        )
        for i in range(2)
    ]


def sink(there: Receiver, record: Sequence[Recorded], **headers: str) -> OTLPSink:
    known = {each.fact.id: each for each in record}
    return OTLPSink(Outbound(there.url), headers, recorded=known.get, requests=served)


def spans(there: Receiver) -> list[Span]:
    """Return what came, as the official messages read it."""
    return [
        span
        for _, body in there.got
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def tell(there: Receiver, record: Sequence[Recorded]) -> list[Span]:
    ours = sink(there, record)
    for each in record:
        ours.take(each)
    return spans(there)


def attributes(span: Span) -> Mapping[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


def reached(found: Sequence[Span], start: Key) -> set[Key]:
    """Return what one comes to from a span: along links, and to parents and children."""
    ways: dict[Key, set[Key]] = {}
    for span in found:
        here = (span.trace_id, span.span_id)
        others = [(link.trace_id, link.span_id) for link in span.links]
        others += [(span.trace_id, span.parent_span_id)] if span.parent_span_id else []
        for other in others:
            ways.setdefault(here, set()).add(other)
            ways.setdefault(other, set()).add(here)
    seen, ahead = {start}, [start]
    while ahead:
        for other in ways.get(ahead.pop(), ()):
            if other not in seen:
                seen.add(other)
                ahead.append(other)
    return seen


def cause_window(record: Sequence[Recorded]) -> tuple[WindowClosed, str]:
    """Return the window that began a replacement, and the version that came of it."""
    by_id = {each.fact.id: each.fact for each in record}
    promoted = {each.fact.version for each in record if isinstance(each.fact, VersionPromoted) and each.fact.previous}
    for plan in (each.fact for each in record if isinstance(each.fact, TrainingPlanned)):
        found: Any = plan
        while found.cause in by_id:
            found = by_id[found.cause]
        if plan.version in promoted and isinstance(found, WindowClosed):
            return found, plan.version
    raise AssertionError("no window began a replacement")


def test_from_a_request_one_comes_to_the_promotion(there: Receiver, record: Sequence[Recorded]) -> None:
    found = tell(there, record)
    window, version = cause_window(record)
    prediction = served(window)[0].prediction
    start = request_context(prediction)
    assert start[0].hex() == prediction, "whoever has a prediction has its trace"
    promotion = next(
        span for span in found if span.name == "rollout VersionPromoted" and attributes(span)["anew.version"] == version
    )
    assert promotion.trace_id == version_trace(promotion_model(record), version)
    come_to = reached(found, start)
    assert (promotion.trace_id, promotion.span_id) in come_to
    names = {span.name.split()[0] for span in found if (span.trace_id, span.span_id) in come_to}
    assert names >= {"request", *STAGES}


def promotion_model(record: Sequence[Recorded]) -> str:
    return record[0].fact.model


def test_control_without_links_one_does_not(there: Receiver, record: Sequence[Recorded]) -> None:
    found = tell(there, record)
    for span in found:
        del span.links[:]
    window, version = cause_window(record)
    assert version
    come_to = reached(found, request_context(served(window)[0].prediction))
    assert len(come_to) == 1


def test_each_span_lies_in_its_trace_under_a_span_that_is_told(there: Receiver, record: Sequence[Recorded]) -> None:
    found = tell(there, record)
    told = {(span.trace_id, span.span_id) for span in found}
    assert len(told) == len(found)
    for span in found:
        assert not span.parent_span_id or (span.trace_id, span.parent_span_id) in told, span.name
        assert all((link.trace_id, link.span_id) in told for link in span.links), span.name
        assert len(span.trace_id) == 16
        assert len(span.span_id) == 8
        assert span.start_time_unix_nano <= span.end_time_unix_nano


def test_a_repeated_span_is_the_same_and_so_is_one_of_another_process(
    there: Receiver, record: Sequence[Recorded]
) -> None:
    first = {(span.span_id, span.parent_span_id, span.trace_id) for span in tell(there, record)}
    there.got.clear()
    for each in record:
        sink(there, record).take(each)  # a new process for each: it remembers nothing
    assert {(span.span_id, span.parent_span_id, span.trace_id) for span in spans(there)} == first


def test_a_rollout_lasts_from_its_beginning_and_what_failed_says_so(
    there: Receiver, record: Sequence[Recorded]
) -> None:
    found = tell(there, record)
    _, version = cause_window(record)
    of = [span for span in found if attributes(span).get("anew.version") == version]
    began = next(span for span in of if span.name == "rollout RolloutStarted")
    ended = next(span for span in of if span.name == "rollout VersionPromoted")
    assert ended.start_time_unix_nano == began.end_time_unix_nano < ended.end_time_unix_nano
    for span in found:
        failed = span.name.split()[-1] in ("EffectFailed", "CandidateRefused", "GuardrailTripped", "RolledBack")
        assert (span.status.code == Status.STATUS_CODE_ERROR) == failed


def test_a_trace_ends_with_the_giving_way_and_the_next_rollout_has_a_beginning_of_its_own(there: Receiver) -> None:
    gone = RolloutSuperseded(model="m", at=T0, version="v2", by="v3", reason="no step")
    started = RolloutStarted(model="m", at=T0, version="v2", digest="d", champion="v1")
    promoted = VersionPromoted(
        model="m", at=T0, version="v2", digest="d", previous="v1", evidence=(), reason="better", settings=""
    )
    facts = [fact.caused_by(f"cause {i}") for i, fact in enumerate((started, gone, promoted))]
    told = tell(there, [Recorded(seq=i, recorded_at=T0 + i * MINUTE, fact=fact) for i, fact in enumerate(facts, 1)])
    assert [span.name for span in told] == [f"rollout {fact.kind}" for fact in facts]
    assert {span.trace_id for span in told} == {version_trace("m", "v2")}
    lasted = [(span.end_time_unix_nano - span.start_time_unix_nano) / 60e9 for span in told]
    assert lasted == [0, 1, 0], "what came after began with no rollout"


def test_what_the_collector_does_not_take_is_offered_again(there: Receiver, record: Sequence[Recorded]) -> None:
    first = next(each for each in record if isinstance(each.fact, WindowClosed))
    ours = sink(there, record, authorization="Bearer s3cret")
    there.status = 503
    with pytest.raises(UnavailableError) as refused:
        ours.take(first)
    assert "s3cret" not in str(refused.value)
    there.status = 200
    ours.take(first)
    ((headers, _),) = there.got
    assert (headers["content-type"], headers["authorization"]) == ("application/x-protobuf", "Bearer s3cret")
    assert {span.name for span in spans(there)} == {"window WindowClosed", "request"}
    assert span_id(first.fact.id) in {span.span_id for span in spans(there)}


def test_every_stage_names_kinds_of_facts() -> None:
    assert {kind for kinds in STAGES.values() for kind in kinds} <= FACTS.keys()
