"""``POST /retrain``: a program that holds the shared secret asks for a retrain."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from anew.domain.errors import AnewError
from anew.gateway.refusal import RefusedError
from anew.gateway.signed import checked
from anew.gateway.strict_json import check_text, decode
from anew.ports.http import Reply, Request

__all__ = ["RetrainHook"]

_BODY: Final = msgspec.defstruct(
    "Body",
    [("reason", Annotated[str, msgspec.Meta(max_length=500)], "")],
    forbid_unknown_fields=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainHook:
    """Takes signed requests for one model; see Standard Webhooks.

    Attributes
    ----------
    verify
        Returns the message's id for (headers, body, Unix time), or raises PolicyError.
    post
        Brings (id, reason) to the loop, once for each id; it may block.
    now
        The wall clock.
    """

    verify: Callable[[Mapping[str, str], bytes, float], str]
    post: Callable[[str, str], None]
    now: Callable[[], datetime]

    async def take(self, request: Request) -> Reply:
        """Post the command; a message that comes again is answered as before, and asks for nothing more.

        Raises
        ------
        RefusedError
            It is not signed by the secret, too old, or no request (401, 4xx); the loop cannot be reached (503).
        """
        id = checked(self.verify, request, self.now())
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_BODY)
        reason = decode(decoder, request.body, lambda body: 1 + body.reason.count(":")).reason if request.body else ""
        check_text(reason, "reason")
        try:
            await asyncio.to_thread(self.post, id, reason)
        except AnewError as exc:
            raise RefusedError(503, "unavailable", "the loop's inbox takes nothing now; try again later") from exc
        return Reply(202, msgspec.json.encode({"accepted": True, "id": id}))
