"""``POST /review/label-studio``: a labelling tool says that somebody answered there."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from anew.domain.errors import AnewError
from anew.gateway.refusal import RefusedError
from anew.ports.http import Reply, Request

__all__ = ["LabellingHook"]

_HEADER = b"x-anew-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabellingHook:
    """Takes a call of whoever knows the secret, and believes nothing of it but that it is time to look.

    So a call that is repeated, comes late, or is made up by somebody who stole the secret changes no label: it has the
    tool asked, at most once a second.

    Attributes
    ----------
    secret
        What the header ``x-anew-secret`` has to hold.
    look
        Has the tool asked soon; it may block.
    """

    secret: str = field(repr=False)
    look: Callable[[], None]

    async def take(self, request: Request) -> Reply:
        """Have the tool asked; raises RefusedError (401) for who does not know the secret."""
        given = request.headers.get(_HEADER, b"")
        if not hmac.compare_digest(_digest(given), _digest(self.secret.encode())):
            raise RefusedError(401, "secret", "x-anew-secret is not what the policy says it is")
        try:
            await asyncio.to_thread(self.look)
        except AnewError as exc:
            raise RefusedError(503, "unavailable", "it cannot be passed on now; try again later") from exc
        return Reply(202, msgspec.json.encode({"accepted": True}))


def _digest(secret: bytes) -> bytes:
    """Return something of one length, whatever the secret's."""
    return hashlib.sha256(secret).digest()
