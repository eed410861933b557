"""The loop as traces for an OpenTelemetry collector, from what is on record.

Reference: OTLP 1.5, over HTTP with protobuf; W3C Trace Context for the form of the ids.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from anew.adapters.outbound import Outbound
from anew.domain.errors import MissingExtraError
from anew.domain.facts import RolloutStarted, TrafficShifted, TrainingPlanned, WindowClosed
from anew.ports.eventlog import Recorded

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["STAGES", "OTLPSink", "ServedRequest", "request_context", "span_id", "version_trace"]

STAGES: Mapping[str, tuple[str, ...]] = {
    "window": ("WindowClosed", "WindowScored"),
    "trigger": ("AlertRaised", "RetrainCommanded", "RetrainRequested", "RetrainWithheld"),
    "decision": ("RetrainApproved", "RetrainHeld", "RetrainRefused"),
    "training": ("TrainingPlanned", "SnapshotTaken", "CandidateTrained", "EffectFailed", "TrainingEnded"),
    "gates": ("CandidateMeasured", "GateJudged", "CandidateAccepted", "CandidateHeld", "CandidateRefused"),
    "rollout": (
        "RolloutStarted",
        "TrafficShifted",
        "RolloutHeld",
        "RolloutStalled",
        "GuardrailTripped",
        "VersionPromoted",
        "RolledBack",
        "RolloutSuperseded",
    ),
}
"""Kinds of facts that are spans, by the stage that they are named after; the others are passed over."""

_STAGE_OF = {kind: stage for stage, kinds in STAGES.items() for kind in kinds}
_OF_VERSION = frozenset(STAGES["training"] + STAGES["gates"] + STAGES["rollout"])
_FAILED = frozenset({"EffectFailed", "CandidateRefused", "GuardrailTripped", "RolledBack"})
_REMEMBERED = 10_000
_MOST_CAUSES = 100

Context = tuple[bytes, bytes]
"""Ids of a trace and of a span in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRequest:
    """One answer to one request: when it was given and how long that took, by whom; and the caller's own span."""

    prediction: str
    answered_at: datetime
    took: timedelta
    version: str
    arm: str
    caller: Context | None = None

    @property
    def context(self) -> Context:
        """Return the ids of its span: in the caller's trace, if there is one."""
        own = request_context(self.prediction)
        return own if self.caller is None else (self.caller[0], own[1])


class OTLPSink:
    """Sends a span for each fact that is a step of the loop; see `anew.ports.sink.Sink`.

    Ids follow from what they are about, so a repeated span is the same span, and anybody can work out where to look:
    a request's trace is its caller's, where that has begun one, or else the id of its prediction; a window, with the
    trigger and the decision that it led to, is one trace; a version, from its plan to its end, another. What led to a
    span in another trace is linked: the window links requests that were in it, and each of them the window; the plan
    links the decision.

    A span lasts from the step that caused it until its own recording, both by the wall clock; what ends a rollout, from
    the rollout's beginning.

    Parameters
    ----------
    recorded
        Returns what is on record under an id, None for nothing.
    requests
        Returns some requests of a window.

    Raises
    ------
    MissingExtraError
        The extra `traces` is not installed.
    """

    name = "traces"

    def __init__(
        self,
        outbound: Outbound,
        headers: Mapping[str, str],
        *,
        recorded: Callable[[str], Recorded | None],
        requests: Callable[[WindowClosed], Sequence[ServedRequest]],
    ) -> None:
        self._outbound = outbound
        self._headers = {**headers, "content-type": "application/x-protobuf"}
        self._recorded = recorded
        self._requests = requests
        self._known: OrderedDict[str, Recorded] = OrderedDict()
        self._began: dict[str, datetime] = {}
        self._proto = _Proto()

    def take(self, recorded: Recorded) -> None:
        """Send the fact's span; raises UnavailableError when the collector does not take it."""
        fact = recorded.fact
        self._remember(recorded)
        stage = _STAGE_OF.get(fact.kind)
        if stage is None:
            return
        cause = self._step_before(recorded)
        parent, links = self._relations(recorded, cause)
        began = self._begin(recorded, cause)
        told = {"anew.model": fact.model, "anew.fact": fact.id, "anew.event_time": fact.at.isoformat()}
        told |= {
            f"anew.{name}": str(getattr(fact, name)) for name in ("version", "reason", "gate") if hasattr(fact, name)
        }
        spans: list[Span] = []
        if isinstance(fact, WindowClosed):
            served = self._requests(fact)
            links += [each.context for each in served]
            spans += [self._request(each, fact) for each in served]
        spans.append(
            self._proto.span(
                self._context(recorded),
                f"{stage} {fact.kind}",
                (began, recorded.recorded_at),
                told,
                parent=parent,
                links=links,
                failed=fact.kind in _FAILED,
            )
        )
        self._outbound.post(self._proto.message(spans), self._headers)

    def _request(self, served: ServedRequest, window: WindowClosed) -> "Span":
        told = {"anew.model": window.model, "anew.version": served.version, "anew.arm": served.arm}
        began = served.answered_at - served.took
        return self._proto.span(
            served.context,
            "request",
            (began, served.answered_at),
            {**told, "anew.prediction": served.prediction},
            parent=b"" if served.caller is None else served.caller[1],
            links=[(_trace(window.id), span_id(window.id))],
            server=True,
        )

    def _relations(self, recorded: Recorded, cause: Recorded | None) -> tuple[bytes, list[Context]]:
        """Return the span within the trace that a fact's lies under, and what it links in other traces."""
        fact, here = recorded.fact, self._context(recorded)
        parent, links = b"", list[Context]()
        if cause is not None:
            there = self._context(cause)
            if there[0] == here[0]:
                parent = there[1]
            else:
                links.append(there)
        version = self._version(recorded)
        if not parent and fact.kind in _OF_VERSION and version and not isinstance(fact, TrainingPlanned):
            parent = _version_root(fact.model, version)
        return parent, links

    def _begin(self, recorded: Recorded, cause: Recorded | None) -> datetime:
        """Return when a span began."""
        fact, ended = recorded.fact, recorded.recorded_at
        if isinstance(fact, RolloutStarted):
            self._began[fact.version] = ended
        began = ended if cause is None else cause.recorded_at
        if fact.kind in ("VersionPromoted", "RolledBack", "RolloutSuperseded"):
            began = self._began.pop(self._version(recorded), began)
        return min(began, ended)

    def _step_before(self, recorded: Recorded) -> Recorded | None:
        """Return the nearest cause that is a span, too."""
        found = self._find(recorded.fact.cause)
        for _ in range(_MOST_CAUSES):
            if found is None or found.fact.kind in _STAGE_OF:
                break
            found = self._find(found.fact.cause)
        return found

    def _context(self, recorded: Recorded) -> Context:
        fact = recorded.fact
        version = self._version(recorded)
        if fact.kind in _OF_VERSION and version:
            own = _version_root(fact.model, version) if isinstance(fact, TrainingPlanned) else span_id(fact.id)
            return version_trace(fact.model, version), own
        return _trace(self._root(recorded)), span_id(fact.id)

    @staticmethod
    def _version(recorded: Recorded) -> str:
        fact = recorded.fact
        if isinstance(fact, TrafficShifted):
            return fact.challenger[0] or fact.champion[0]
        return str(getattr(fact, "version", ""))

    def _root(self, recorded: Recorded) -> str:
        """Return the id of what it all began with: the first cause that is on record."""
        for _ in range(_MOST_CAUSES):
            cause = self._find(recorded.fact.cause)
            if cause is None:
                break
            recorded = cause
        return recorded.fact.id

    def _find(self, id: str) -> Recorded | None:
        if not id:
            return None
        found = self._known.get(id) or self._recorded(id)
        if found is not None:
            self._remember(found)
        return found

    def _remember(self, recorded: Recorded) -> None:
        self._known[recorded.fact.id] = recorded
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def request_context(prediction: str) -> Context:
    """Return the ids of the span of a request that nobody traces: its trace is the prediction's id, of 128 bits too.

    >>> [part.hex() for part in request_context("0190163d8694739ba10f0e1cf62e2d4e")]
    ['0190163d8694739ba10f0e1cf62e2d4e', '70ab3ab5a5f57c0a']
    """
    return bytes.fromhex(prediction), span_id(prediction)


def version_trace(model: str, version: str) -> bytes:
    """Return the id of the trace of a version, from its plan to its end."""
    return hashlib.sha256(f"version/{model}/{version}".encode()).digest()[:16]


def span_id(id: str) -> bytes:
    """Return the id of the span of a fact or of a prediction."""
    return hashlib.sha256(f"span/{id}".encode()).digest()[:8]


def _version_root(model: str, version: str) -> bytes:
    return hashlib.sha256(f"version/{model}/{version}/root".encode()).digest()[:8]


def _trace(id: str) -> bytes:
    return hashlib.sha256(f"trace/{id}".encode()).digest()[:16]


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1e6) * 1000


class _Proto:
    """The messages of OTLP, which not every installation has."""

    def __init__(self) -> None:
        try:
            from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # noqa: PLC0415  the extra `traces`
            from opentelemetry.proto.common.v1 import common_pb2  # noqa: PLC0415  likewise
            from opentelemetry.proto.resource.v1 import resource_pb2  # noqa: PLC0415  likewise
            from opentelemetry.proto.trace.v1 import trace_pb2  # noqa: PLC0415  likewise
        except ImportError as exc:
            raise MissingExtraError("opentelemetry-proto", "traces") from exc
        self._service = trace_service_pb2
        self._common = common_pb2
        self._resource = resource_pb2
        self._trace = trace_pb2

    def span(
        self,
        context: Context,
        name: str,
        lasted: tuple[datetime, datetime],
        told: Mapping[str, str],
        *,
        parent: bytes = b"",
        links: Sequence[Context] = (),
        failed: bool = False,
        server: bool = False,
    ) -> "Span":
        """Return a span."""
        kinds, codes = self._trace.Span, self._trace.Status
        return self._trace.Span(
            trace_id=context[0],
            span_id=context[1],
            parent_span_id=parent,
            name=name,
            kind=kinds.SPAN_KIND_SERVER if server else kinds.SPAN_KIND_INTERNAL,
            start_time_unix_nano=_nanoseconds(lasted[0]),
            end_time_unix_nano=_nanoseconds(lasted[1]),
            attributes=self._attributes(told),
            links=[self._trace.Span.Link(trace_id=trace, span_id=span) for trace, span in links],
            status=self._trace.Status(code=codes.STATUS_CODE_ERROR if failed else codes.STATUS_CODE_UNSET),
        )

    def message(self, spans: "Sequence[Span]") -> bytes:
        """Return the body of a request."""
        scope = self._common.InstrumentationScope(name="anew")
        resource = self._resource.Resource(attributes=self._attributes({"service.name": "anew"}))
        whole = self._trace.ResourceSpans(
            resource=resource, scope_spans=[self._trace.ScopeSpans(scope=scope, spans=spans)]
        )
        body: bytes = self._service.ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString()
        return body

    def _attributes(self, told: Mapping[str, str]) -> "list[KeyValue]":
        value = self._common.AnyValue
        return [self._common.KeyValue(key=key, value=value(string_value=text)) for key, text in told.items()]
