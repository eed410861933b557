"""The gateway's HTTP face: finds what a request asks for, and sees to it that each gets exactly one reply."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from textwrap import shorten
from types import MappingProxyType
from typing import Any, Final

from anew import __version__
from anew.domain.access import Permission
from anew.gateway.endpoint import ModelEndpoint, Told, json_reply
from anew.gateway.gate import Asked
from anew.gateway.latency import LatencyGrid
from anew.gateway.metrics import MEDIA, Loop, render
from anew.gateway.openapi import document
from anew.gateway.refusal import RefusedError
from anew.gateway.review_desk import ReviewDesk
from anew.ports.http import Reply, Request, Respond

__all__ = ["GatewayApp"]

_LOG = logging.getLogger("anew.gateway")
_INSIDE: Final = "the gateway failed; its log says how"
_SERVER: Final = {"name": "anew", "version": __version__, "extensions": []}
_NO_DESKS: Final[Mapping[str, ReviewDesk]] = MappingProxyType({})
_MOST_KNOWN: Final = 170
"""Letters of the paths that are named to whom asks for another; an error has room for so many besides the one asked."""
_CODES: Final = {400: "malformed", 413: "too_big"}


@dataclass(frozen=True, slots=True)
class _Spot:
    """One path: how it is asked, who counts, and who answers: by telling, or by what is returned.

    `permission` is what asking it takes, about `model` (empty: about all); None where each request is signed itself.
    """

    method: str
    begin: Callable[[Request, Told], Awaitable[Reply] | None]
    counts: Counter[str]
    latency: LatencyGrid
    permission: Permission | None
    model: str = ""


class GatewayApp:
    """A `Handler` for the models of `endpoints`. Belongs to one event loop.

    ``POST /predict`` (where another server answers, ``/log``), ``/labels, /feedback, /retrain, /webhook/…``
    and ``GET /live, /ready, /stats``, each model's also below ``/models/NAME``, where alone they are when there are
    several; and the Open Inference Protocol below ``/v2``. Every error is JSON with a path.

    Parameters
    ----------
    desks
        By model, who hands out what people review; their paths are ``/review/…``.
    meters
        What the loops counted, for the page of metrics.

    Attributes
    ----------
    counts
        ``requests``, ``refusals`` … of requests that are about no model.
    """

    def __init__(
        self,
        endpoints: Sequence[ModelEndpoint],
        desks: Mapping[str, ReviewDesk] = _NO_DESKS,
        meters: Sequence[Callable[[], Loop]] = (),
    ) -> None:
        self.endpoints = tuple(endpoints)
        self._desks = desks
        self._meters = meters
        self.counts: Counter[str] = Counter()
        self._latency = LatencyGrid()
        self._tasks: set[asyncio.Task[None]] = set()
        described = json_reply(200, document([endpoint.serving.settings for endpoint in self.endpoints]))
        self._table = dict[str, _Spot]()
        for endpoint in self.endpoints:
            for name, spot in self._of(endpoint).items():
                self._table[f"/models/{endpoint.model}{name}"] = spot
                if len(self.endpoints) == 1:
                    self._table[name] = spot
            self._table |= self._protocol_of(endpoint)
        self._table |= {
            "/live": self._now(Permission.METRICS, lambda: json_reply(200, {"status": "live"})),
            "/ready": self._now(Permission.METRICS, self._ready),
            "/stats": self._now(Permission.METRICS, self._stats),
            "/metrics": self._now(Permission.METRICS, self._metrics),
            "/openapi.json": self._now(Permission.METRICS, lambda: described),
            "/v2": self._now(Permission.METRICS, lambda: json_reply(200, _SERVER)),
            "/v2/health/live": self._now(Permission.METRICS, lambda: json_reply(200, {"live": True})),
            "/v2/health/ready": self._now(Permission.METRICS, self._all_ready),
        }

    def __call__(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        started = time.perf_counter()
        spot = self._table.get(request.path)
        counts, latency = (self.counts, self._latency) if spot is None else (spot.counts, spot.latency)

        def told(outcome: Reply | RefusedError) -> None:
            if isinstance(outcome, RefusedError):
                counts["refusals" if outcome.status < 500 else "failures"] += 1
                outcome = _refused(outcome, request.path)
            seconds = time.perf_counter() - started
            counts["requests"] += 1
            counts["request_us"] += int(seconds * 1e6)
            latency.add(seconds)
            respond(outcome)

        try:
            self._begin(spot, request, told)
        except RefusedError as exc:
            told(exc)
        except Exception as exc:  # noqa: BLE001 - see `_failed`
            told(_failed(request.path, exc))

    @property
    def asked(self) -> Asked:
        """What each path takes."""
        return {path: (spot.permission, spot.model) for path, spot in self._table.items()}

    def refusal(self, status: int, message: str) -> Reply:
        """Return what to say to what is no request."""
        self.counts["requests"] += 1
        self.counts["refusals" if status < 500 else "failures"] += 1
        return _refused(RefusedError(status, _CODES.get(status, "refused"), message))

    def _begin(self, spot: _Spot | None, request: Request, told: Told) -> None:
        if spot is None:
            raise RefusedError(404, "not_found", f"there is no {request.path[:100]!r}; {self._instead(request.path)}")
        takes = ("GET", "HEAD") if spot.method == "GET" else (spot.method,)
        if request.method not in takes:
            said = f"{request.path} takes {' and '.join(takes)}, not {request.method}"
            reply = _refused(RefusedError(405, "method", said), request.path)
            reply.headers = ((b"allow", ", ".join(takes).encode()),)
            spot.counts["refusals"] += 1
            told(reply)
            return
        if spot.method == "POST":
            _check_dress(request)
        work = spot.begin(request, told)
        if work is not None:
            self._finish(request.path, work, told)

    def _instead(self, path: str) -> str:
        """Say what there is: the model of a version, the paths of each model that end so, or what there is room for.

        A caller chooses no version: it might be one that was taken back, or is on trial.
        """
        model, of_version, rest = path.partition("/versions/")
        if of_version and model in self._table:
            found = model + "".join(rest.partition("/")[1:])
            return (
                f"no version is chosen here, each answer says whose it is: {found if found in self._table else model}"
            )
        below = [each for endpoint in self.endpoints if (each := f"/models/{endpoint.model}{path}") in self._table]
        known = ", ".join(below or sorted(self._table))
        return f"known: {shorten(known, _MOST_KNOWN, placeholder=' … (all: /openapi.json)')}"

    def _of(self, endpoint: ModelEndpoint) -> dict[str, _Spot]:
        post = partial(_Spot, "POST", counts=endpoint.serving.counts, latency=endpoint.latency, model=endpoint.model)
        read = partial(self._now, Permission.METRICS, model=endpoint.model)
        hook, desk = endpoint.hook, self._desks.get(endpoint.model)
        commands = {} if hook is None else {"/retrain": post(lambda request, _: hook.take(request), permission=None)}
        verify = endpoint.verify
        if verify is not None:
            commands |= {
                "/webhook/labels": post(lambda request, _: endpoint.signed_label(verify, request), permission=None),
                "/webhook/feedback": post(
                    lambda request, _: endpoint.signed_feedback(verify, request), permission=None
                ),
            }
        if desk is not None:
            review = partial(post, permission=Permission.REVIEW)
            commands |= {
                "/review/next": review(lambda request, _: desk.next(request)),
                "/review/answer": review(lambda request, _: desk.answer(request)),
                "/review/skip": review(lambda request, _: desk.skip(request)),
                "/review/status": replace(review(lambda request, _: desk.status(request)), method="GET"),
            }
            if desk.hook is not None:
                called = desk.hook.take
                commands["/review/label-studio"] = post(lambda request, _: called(request), permission=None)
        answers = ("/log", endpoint.log) if endpoint.serving.settings.log_only else ("/predict", endpoint.predict)
        return commands | {
            answers[0]: post(answers[1], permission=Permission.PREDICT),
            "/labels": post(lambda request, _: endpoint.label(request), permission=Permission.LABEL),
            "/feedback": post(lambda request, _: endpoint.feedback(request), permission=Permission.LABEL),
            "/ready": read(lambda: json_reply(*endpoint.ready())),
            "/stats": read(lambda: json_reply(200, endpoint.stats())),
        }

    def _protocol_of(self, endpoint: ModelEndpoint) -> dict[str, _Spot]:
        """Return the paths of the Open Inference Protocol for one model."""
        base = f"/v2/models/{endpoint.model}"
        read = partial(self._now, Permission.METRICS, model=endpoint.model)
        told = {base: read(endpoint.metadata), f"{base}/ready": read(endpoint.model_ready)}
        if endpoint.serving.settings.log_only:
            return told
        return told | {
            f"{base}/infer": _Spot(
                "POST", endpoint.infer, endpoint.serving.counts, endpoint.latency, Permission.PREDICT, endpoint.model
            ),
        }

    def _now(self, permission: Permission, reply: Callable[[], Reply], model: str = "") -> _Spot:
        return _Spot("GET", lambda _, told: told(reply()), self.counts, self._latency, permission, model)

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

    def _metrics(self) -> Reply:
        return Reply(200, self._page(), MEDIA)

    def _page(self) -> bytes:
        statuses = [status for endpoint in self.endpoints for status in endpoint.workers()]
        return render(statuses, [meter() for meter in self._meters])

    def _all_ready(self) -> Reply:
        status = self._ready().status
        return json_reply(status, {"ready": status == 200})

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
    coding = request.headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() != b"identity":
        raise RefusedError(415, "encoding", "send the body without content-encoding")


def _failed(path: str, exc: Exception) -> RefusedError:
    """Return what a caller hears of a defect of ours: it must not pass for an answer, nor tell more."""
    _LOG.error("request_failed path=%s error=%s", path, type(exc).__name__, exc_info=exc)
    return RefusedError(500, "internal", _INSIDE)


def _refused(refusal: RefusedError, path: str = "") -> Reply:
    body: Mapping[str, Any] = refusal.body()
    if path.startswith("/v2"):  # the Open Inference Protocol has one text for an error; ours stands beside it
        said = body["error"]
        body = {**said, "error": said["message"] + (f" ({said['path']})" if said["path"] else "")}
    reply = json_reply(refusal.status, body)
    if refusal.status in (429, 503):
        reply.headers = ((b"retry-after", b"1"),)
    return reply
