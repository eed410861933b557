"""Facts as CloudEvents to a webhook, signed as Standard Webhooks are.

Reference: CloudEvents 1.0.2, JSON event format.
"""

import json
from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from anew.adapters.fact_codec import encode
from anew.adapters.outbound import Outbound
from anew.adapters.standard_webhook import signed_headers
from anew.ports.eventlog import Recorded

__all__ = ["WebhookSink"]


class WebhookSink:
    """Posts each fact as a CloudEvent; a receiver tells a repeat by ``webhook-id``, which is the fact's id.

    Parameters
    ----------
    key
        From `webhook_key`; None sends unsigned.
    kinds
        Kinds of facts that are sent; empty for all.
    now
        Tells the second of sending, which is signed.
    """

    def __init__(
        self,
        name: str,
        outbound: Outbound,
        *,
        key: bytes | None,
        kinds: Collection[str],
        now: Callable[[], datetime],
    ) -> None:
        self.name = name
        self._outbound = outbound
        self._key = key
        self._kinds = frozenset(kinds)
        self._now = now

    def take(self, recorded: Recorded) -> None:
        """Send the fact, if it is of a kind that is sent; raises UnavailableError when nobody takes it."""
        fact = recorded.fact
        if self._kinds and fact.kind not in self._kinds:
            return
        event = {
            "specversion": "1.0",
            "id": fact.id,
            "source": f"/anew/models/{fact.model}",
            "type": f"anew.{fact.kind}.v{fact.schema}",
            "time": recorded.recorded_at.isoformat(),
            "datacontenttype": "application/json",
            "data": msgspec.json.decode(encode(fact)),
        }
        body = json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
        headers = {"content-type": "application/cloudevents+json; charset=utf-8", "webhook-id": fact.id}
        if self._key is not None:
            headers |= signed_headers(self._key, fact.id, int(self._now().timestamp()), body)
        self._outbound.post(body, headers)
