"""The gateway's HTTP face: finds what a request asks for, and sees to it that each gets exactly one reply."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from anew.gateway.endpoint import ModelEndpoint, Told, json_reply
from anew.gateway.refusal import RefusedError
from anew.ports.http import Reply, Request, Respond

__all__ = ["GatewayApp"]

_LOG = logging.getLogger("anew.gateway")
_INSIDE: Final = "the gateway failed; its log says how"
_CODES: Final = {400: "malformed", 413: "too_big"}


@dataclass(frozen=True, slots=True)
class _Spot:
    """One path: how it is asked, who counts, and who answers: by telling, or by what is returned."""

    method: str
    begin: Callable[[Request, Told], Awaitable[Reply] | None]
    counts: Counter[str]


class GatewayApp:
    """A `Handler` for the models of `endpoints`. Belongs to one event loop.

    ``POST /predict, /labels, /feedback`` and ``GET /live, /ready, /stats``; of several models each below
    ``/models/NAME``. Every error is JSON with a path.

    Attributes
    ----------
    counts
        ``requests``, ``refusals`` … of requests that are about no model.
    """

    def __init__(self, endpoints: Sequence[ModelEndpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self.counts: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._table = dict[str, _Spot]()
        for endpoint in self.endpoints:
            for name, spot in self._of(endpoint).items():
                self._table[f"/models/{endpoint.model}{name}"] = spot
                if len(self.endpoints) == 1:
                    self._table[name] = spot
        self._table |= {
            "/live": self._now(lambda: json_reply(200, {"status": "live"}), self.counts),
            "/ready": self._now(self._ready, self.counts),
            "/stats": self._now(self._stats, self.counts),
        }

    def __call__(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        started = time.perf_counter()
        spot = self._table.get(request.path)
        counts = self.counts if spot is None else spot.counts

        def told(outcome: Reply | RefusedError) -> None:
            if isinstance(outcome, RefusedError):
                counts["refusals" if outcome.status < 500 else "failures"] += 1
                outcome = _refused(outcome)
            counts["requests"] += 1
            counts["request_us"] += int((time.perf_counter() - started) * 1e6)
            respond(outcome)

        try:
            self._begin(spot, request, told)
        except RefusedError as exc:
            told(exc)
        except Exception as exc:  # noqa: BLE001 - see `_failed`
            told(_failed(request.path, exc))

    def refusal(self, status: int, message: str) -> Reply:
        """Return what to say to what is no request."""
        self.counts["requests"] += 1
        self.counts["refusals" if status < 500 else "failures"] += 1
        return _refused(RefusedError(status, _CODES.get(status, "refused"), message))

    def _begin(self, spot: _Spot | None, request: Request, told: Told) -> None:
        if spot is None:
            known = ", ".join(sorted(self._table))
            raise RefusedError(404, "not_found", f"there is no {request.path[:100]!r}; known: {known}")
        if request.method != spot.method:
            raise RefusedError(405, "method", f"{request.path} takes {spot.method}, not {request.method}")
        if spot.method == "POST":
            _check_dress(request)
        work = spot.begin(request, told)
        if work is not None:
            self._finish(request.path, work, told)

    def _of(self, endpoint: ModelEndpoint) -> dict[str, _Spot]:
        counts = endpoint.serving.counts
        return {
            "/predict": _Spot("POST", endpoint.predict, counts),
            "/labels": _Spot("POST", lambda request, _: endpoint.label(request), counts),
            "/feedback": _Spot("POST", lambda request, _: endpoint.feedback(request), counts),
            "/ready": self._now(lambda: json_reply(*endpoint.ready()), counts),
            "/stats": self._now(lambda: json_reply(200, endpoint.stats()), counts),
        }

    def _now(self, reply: Callable[[], Reply], counts: Counter[str]) -> _Spot:
        return _Spot("GET", lambda _, told: told(reply()), counts)

    def _finish(self, path: str, work: Awaitable[Reply], told: Told) -> None:
        """Tell what `work` comes to."""

        async def answer() -> None:
            try:
                outcome: Reply | RefusedError = await work
            except RefusedError as exc:
                outcome = exc
            except Exception as exc:  # noqa: BLE001 - see `_failed`
                outcome = _failed(path, exc)
            told(outcome)

        task = asyncio.get_running_loop().create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ready(self) -> Reply:
        if len(self.endpoints) == 1:
            return json_reply(*self.endpoints[0].ready())
        said = {endpoint.model: endpoint.ready() for endpoint in self.endpoints}
        status = max(code for code, _ in said.values())
        return json_reply(status, {"models": {model: body for model, (_, body) in said.items()}})

    def _stats(self) -> Reply:
        if len(self.endpoints) == 1:
            return json_reply(200, {**self.endpoints[0].stats(), "gateway": self.counts})
        models = {endpoint.model: endpoint.stats() for endpoint in self.endpoints}
        return json_reply(200, {"models": models, "gateway": self.counts})


def _check_dress(request: Request) -> None:
    """Refuse a body that is no plain JSON."""
    media = request.headers.get(b"content-type")
    if media not in (None, b"application/json") and media.split(b";")[0].strip().lower() != b"application/json":
        raise RefusedError(415, "media_type", "send JSON with content-type: application/json")
    coding = request.headers.get(b"content-encoding", b"identity")
    if coding.strip().lower() != b"identity":
        raise RefusedError(415, "encoding", "send the body without content-encoding")


def _failed(path: str, exc: Exception) -> RefusedError:
    """Return what a caller hears of a defect of ours: it must not pass for an answer, nor tell more."""
    _LOG.error("request_failed path=%s error=%s", path, type(exc).__name__, exc_info=exc)
    return RefusedError(500, "internal", _INSIDE)


def _refused(refusal: RefusedError) -> Reply:
    reply = json_reply(refusal.status, refusal.body())
    if refusal.status in (429, 503):
        reply.headers = ((b"retry-after", b"1"),)
    return reply
