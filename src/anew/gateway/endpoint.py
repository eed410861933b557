"""What one served model answers to, request by request."""

import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from anew.domain.observation import FeedbackEvent, Label, Prediction
from anew.gateway.caller_trace import traced
from anew.gateway.enrich import Enricher
from anew.gateway.feedback_request import FeedbackParser
from anew.gateway.identity import foreign_ids
from anew.gateway.infer_reply import InferReplies, metadata_body
from anew.gateway.infer_request import InferParser
from anew.gateway.label_request import LabelParser
from anew.gateway.latency import LatencyGrid
from anew.gateway.logged import LoggedParser
from anew.gateway.refusal import RefusedError
from anew.gateway.replay import Replays
from anew.gateway.request import PredictParser
from anew.gateway.retrain_hook import RetrainHook
from anew.gateway.row import RequestRow
from anew.gateway.serving import Answered, Serving
from anew.gateway.signed import VerifySender, signed_by
from anew.gateway.strict_json import latest
from anew.ports.http import Reply, Request
from anew.ports.traffic import WorkerStatus

__all__ = ["ModelEndpoint", "Readiness", "Told", "json_reply"]

Readiness = Callable[[], tuple[int, Mapping[str, Any]]]
"""Returns the status and body of ``/ready``."""
Told = Callable[[Reply | RefusedError], None]
"""Hears, once, how a request ended."""
_Show = Callable[[Answered], Reply]
_Headers = Mapping[bytes, bytes]

_ENCODER: Final = msgspec.json.Encoder()


def json_reply(status: int, body: Any) -> Reply:
    """Return a reply of JSON."""
    return Reply(status, _ENCODER.encode(body))


@dataclass(slots=True)
class ModelEndpoint:
    """Reads requests for one model, has them answered, and says the answers. Belongs to one event loop.

    What cannot be read raises RefusedError at once; how the rest ended is told. `verify` tells who signed labels and
    feedback; None where nobody does.
    """

    serving: Serving
    ready: Readiness
    stats: Callable[[], Mapping[str, Any]]
    workers: Callable[[], Sequence[WorkerStatus]]
    now: Callable[[], datetime]
    hook: RetrainHook | None = None
    verify: VerifySender | None = None
    enricher: Enricher | None = None
    latency: LatencyGrid = field(default_factory=LatencyGrid, init=False)
    replays: Replays = field(init=False)
    _rows: PredictParser = field(init=False)
    _logged: LoggedParser = field(init=False)
    _tensors: InferParser = field(init=False)
    _replies: InferReplies = field(init=False)
    _labels: LabelParser = field(init=False)
    _feedback: FeedbackParser = field(init=False)

    def __post_init__(self) -> None:
        settings = self.serving.settings
        self.replays = Replays(settings.most_replayed)
        self._rows = PredictParser(settings)
        self._logged = LoggedParser(settings, self._rows)
        self._tensors = InferParser(settings)
        self._replies = InferReplies(settings)
        self._labels = LabelParser(settings)
        self._feedback = FeedbackParser(settings)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.serving.settings.model

    def predict(self, request: Request, told: Told) -> Awaitable[Reply] | None:
        """Answer ``/predict``; rows whose ids the caller chose are answered by what is returned."""
        return self._answer(self._rows.parse(request.body, self.now()), self._shown, request, told)

    def log(self, request: Request, told: Told) -> Awaitable[Reply] | None:
        """Answer ``/log``: keep what another server said, and have a challenger in shadow say what it would have."""
        rows, logged = self._logged.parse(request.body, self.now())
        self.serving.enter(traced(rows, request.headers), self._shown, told, logged=logged)
        return None

    async def label(self, request: Request) -> Reply:
        """Answer ``/labels``."""
        return await self._take(self._labels.parse(request.body, self.now()))

    async def feedback(self, request: Request) -> Reply:
        """Answer ``/feedback``."""
        return await self._take(self._feedback.parse(request.body, self.now()))

    async def signed_label(self, verify: VerifySender, request: Request) -> Reply:
        """Answer ``/webhook/labels``: the same, of whoever signed it."""
        now = self.now()
        return await self._take(self._labels.parse(request.body, now, signed_by(verify, request, now)))

    async def signed_feedback(self, verify: VerifySender, request: Request) -> Reply:
        """Answer ``/webhook/feedback``: the same, of whoever signed it."""
        now = self.now()
        return await self._take(self._feedback.parse(request.body, now, signed_by(verify, request, now)))

    async def _take(self, said: Sequence[Label | FeedbackEvent]) -> Reply:
        await self.serving.take(said)
        limit = latest(self.now(), self.serving.settings.future_skew_s)
        self.serving.counts["foreign_ids"] += foreign_ids((each.prediction for each in said), limit)
        return json_reply(200, {"accepted": len(said), "ids": [each.id for each in said]})

    def infer(self, request: Request, told: Told) -> Awaitable[Reply] | None:
        """Answer ``/v2/models/NAME/infer``."""
        if b"inference-header-content-length" in request.headers:
            raise RefusedError(
                400, "binary", "this server reads tensors as JSON: send them so (tritonclient: binary_data=False)"
            )
        asked = self._tensors.parse(request.body, self.now())
        return self._answer(asked.rows, partial(self._replies.reply, asked), request, told)

    def metadata(self) -> Reply:
        """Return what ``/v2/models/NAME`` says."""
        return json_reply(200, metadata_body(self.serving.settings))

    def model_ready(self) -> Reply:
        """Return what ``/v2/models/NAME/ready`` says."""
        status = self.ready()[0]
        return json_reply(status, {"name": self.model, "ready": status == 200})

    def _answer(self, rows: Sequence[RequestRow], show: _Show, request: Request, told: Told) -> Awaitable[Reply] | None:
        wish = request.headers.get(b"x-request-timeout-ms")
        within_s = math.inf if wish is None else _seconds(wish)
        if self.enricher is not None and self.enricher.lacks(rows):
            return self._completed(self.enricher, rows, show, request.headers, within_s)
        if rows[0].client_id:
            return self._repeatable(rows, show, request.headers, within_s)
        self.serving.enter(traced(rows, request.headers), show, told, within_s)
        return None

    async def _completed(
        self, enricher: Enricher, rows: Sequence[RequestRow], show: _Show, headers: _Headers, within_s: float
    ) -> Reply:
        """Answer rows that lack what the feature store knows."""
        began = time.perf_counter()
        whole = await enricher.complete(rows)
        within_s -= time.perf_counter() - began
        if whole[0].client_id:
            return await self._repeatable(whole, show, headers, within_s)
        return show(await self.serving.predict(traced(whole, headers), within_s))

    async def _repeatable(self, rows: Sequence[RequestRow], show: _Show, headers: _Headers, within_s: float) -> Reply:
        """Answer a repeat as before, whatever trace it is part of."""

        def predict(new: Sequence[RequestRow]) -> Awaitable[Answered]:
            return self.serving.predict(traced(new, headers), within_s)

        return show(await self.replays.answer(rows, predict))

    def _shown(self, answered: Answered) -> Reply:
        route, predictions = answered
        return json_reply(
            200,
            {
                "model": self.model,
                "version": route.champion.version,
                "epoch": route.epoch,
                "predictions": [_shown(prediction) for prediction in predictions],
            },
        )


def _seconds(wish: bytes) -> float:
    if not re.fullmatch(rb"[0-9]{1,9}", wish):
        raise RefusedError(400, "malformed", "x-request-timeout-ms is a whole number of milliseconds, up to 999999999")
    return int(wish) / 1000


def _shown(prediction: Prediction) -> Mapping[str, Any]:
    return {
        "id": prediction.id,
        "output": prediction.answer.output,
        "proba": prediction.answer.proba,
        "version": prediction.version,
        "arm": prediction.arm,
    }
