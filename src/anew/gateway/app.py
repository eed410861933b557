"""The worker's HTTP face: a raw ASGI application over the framework-free core."""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from anew.domain.errors import AnewError
from anew.domain.observation import Prediction
from anew.gateway.feedback_request import FeedbackParser
from anew.gateway.label_request import LabelParser
from anew.gateway.refusal import RefusedError
from anew.gateway.replay import Replays
from anew.gateway.request import PredictParser
from anew.gateway.serving import Serving

__all__ = ["GatewayApp", "Readiness"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Readiness = Callable[[], tuple[int, Mapping[str, Any]]]
"""Returns the status and body of ``/ready``."""

_LOG = logging.getLogger("anew.gateway")
_ENCODER: Final = msgspec.json.Encoder()
_METHODS: Final = {
    "/predict": "POST", "/labels": "POST", "/feedback": "POST", "/live": "GET", "/ready": "GET", "/stats": "GET",
}  # fmt: skip


@dataclass(slots=True)
class GatewayApp:
    """``POST /predict, /labels, /feedback`` and ``GET /live, /ready, /stats``; every error is JSON with a path."""

    serving: Serving
    ready: Readiness
    stats: Callable[[], Mapping[str, Any]]
    now: Callable[[], datetime]
    replays: Replays = field(init=False)
    _predict: PredictParser = field(init=False)
    _labels: LabelParser = field(init=False)
    _feedback: FeedbackParser = field(init=False)

    def __post_init__(self) -> None:
        settings = self.serving.settings
        self.replays = Replays(settings.most_replayed)
        self._predict = PredictParser(settings)
        self._labels = LabelParser(settings)
        self._feedback = FeedbackParser(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"the gateway speaks HTTP, not {scope['type']}")
        started = time.perf_counter()
        counts = self.serving.counts
        try:
            status, body = await self._route(scope, receive)
        except RefusedError as exc:
            counts["refusals" if exc.status < 500 else "failures"] += 1
            status, body = exc.status, exc.body()
        except _GoneError:
            counts["gone"] += 1
            return
        except Exception as exc:  # noqa: BLE001 - see below
            # the outermost loop of a request: a defect of ours must not pass for an answer, nor tell the caller more
            counts["failures"] += 1
            _LOG.exception("request_failed path=%s error=%s", scope["path"], type(exc).__name__)
            status, body = 500, RefusedError(500, "internal", "the gateway failed; its log says how").body()
        _time(counts, time.perf_counter() - started)
        await _send(send, status, body)

    async def _route(self, scope: Scope, receive: Receive) -> tuple[int, Any]:
        path = scope["path"]
        method = _METHODS.get(path)
        if method is None:
            raise RefusedError(404, "not_found", f"there is no {path!r}; known: {', '.join(sorted(_METHODS))}")
        if scope["method"] != method:
            raise RefusedError(405, "method", f"{path} takes {method}, not {scope['method']}")
        if path == "/live":
            return 200, {"status": "live"}
        if path == "/ready":
            return self.ready()
        if path == "/stats":
            return 200, self.stats()
        body = await self._body(scope, receive)
        return await (self._answer(body) if path == "/predict" else self._take(path, body))

    async def _answer(self, body: bytes) -> tuple[int, Any]:
        rows = self._predict.parse(body, self.now())
        route, predictions = await self.replays.answer(rows, self.serving.predict)
        return 200, {
            "model": self.serving.settings.model,
            "version": route.champion.version,
            "epoch": route.epoch,
            "predictions": [_shown(prediction) for prediction in predictions],
        }

    async def _take(self, path: str, body: bytes) -> tuple[int, Any]:
        said = (self._labels if path == "/labels" else self._feedback).parse(body, self.now())
        await self.serving.take(said)
        return 200, {"accepted": len(said), "ids": [each.id for each in said]}

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most = self.serving.settings.most_body_bytes
        for name, value in scope["headers"]:
            if name == b"content-type" and value.split(b";")[0].strip().lower() != b"application/json":
                raise RefusedError(415, "media_type", "send JSON with content-type: application/json")
            if name == b"content-encoding" and value.strip().lower() != b"identity":
                raise RefusedError(415, "encoding", "send the body without content-encoding")
            if name == b"content-length" and value.isdigit() and int(value[:20]) > most:
                raise _too_big(most)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise _too_big(most)
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


class _GoneError(AnewError):
    """The caller went away before the request was complete."""


def _too_big(most: int) -> RefusedError:
    return RefusedError(413, "too_big", f"the body may have {most} bytes; send fewer rows at once")


def _shown(prediction: Prediction) -> Mapping[str, Any]:
    return {
        "id": prediction.id,
        "output": prediction.answer.output,
        "proba": prediction.answer.proba,
        "version": prediction.version,
        "arm": prediction.arm,
    }


def _time(counts: Counter[str], seconds: float) -> None:
    counts["requests"] += 1
    counts["request_us"] += int(seconds * 1e6)


async def _send(send: Send, status: int, body: Any) -> None:
    data = _ENCODER.encode(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(data)).encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
    ]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
