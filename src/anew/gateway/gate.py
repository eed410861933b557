"""The one layer that every request passes: from where it may come, who sends it, and whether that one may."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Final

from anew.domain.access import Permission, Principal, Role
from anew.domain.errors import AnewError
from anew.gateway.endpoint import json_reply
from anew.gateway.refusal import RefusedError
from anew.governance import may
from anew.ports.http import Handler, Reply, Request, Respond

__all__ = ["EXEMPT", "Asked", "Gate", "Verify"]

EXEMPT: Final = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Paths that anybody may ask, exactly as written here: what a balancer needs, and nothing about any model."""

Asked = Mapping[str, tuple[Permission, str]]
"""What each path asks for, and of which model (empty: of all)."""

Verify = Callable[[str, datetime], Principal | None]
"""Says whose token it is at an instant; None for nobody's. Raises an AnewError when it cannot tell."""


class Gate:
    """A `Handler` in front of another; what it does not know, it refuses.

    Parameters
    ----------
    asked
        Paths that are there; any other is refused to strangers just as these are, and tells nothing.
    verify
        Finds the holder of a token.
    hosts
        Names by which the gateway may be called, without ports: a page of another site that had its name point here
        would call it by that name.
    anonymous
        The role of who sends no token; None lets nobody in.
    """

    def __init__(
        self,
        handler: Handler,
        asked: Asked,
        verify: Verify,
        *,
        now: Callable[[], datetime],
        hosts: Collection[str],
        anonymous: Role | None = None,
    ) -> None:
        self._handler = handler
        self._asked = asked
        self._verify = verify
        self._now = now
        self._hosts = frozenset(host.lower().encode() for host in hosts)
        self._anonymous = None if anonymous is None else Principal(id="anonymous", name="anonymous", role=anonymous)
        self._known: set[bytes] = set()
        self.counts: Counter[str] = Counter()

    def __call__(self, request: Request, respond: Respond) -> None:
        """Let the request through, or refuse it."""
        refusal = self._hindrance(request)
        if refusal is None:
            self._handler(request, respond)
            return
        self.counts[refusal.code] += 1
        reply = json_reply(refusal.status, refusal.body())
        if refusal.status == 401:
            reply.headers = ((b"www-authenticate", b"Bearer"),)
        respond(reply)

    def refusal(self, status: int, message: str) -> Reply:
        """Return what to say to what is no request."""
        return self._handler.refusal(status, message)

    def _hindrance(self, request: Request) -> RefusedError | None:
        host = request.headers.get(b"host", b"")
        if host not in self._known and not self._is_ours(host):
            return RefusedError(421, "host", "this server is not called by that name; see access.hosts in anew.yaml")
        if request.path in EXEMPT:
            return None
        who = self._who(request)
        if who is None:
            return RefusedError(401, "unauthorised", "send Authorization: Bearer TOKEN; `anew access create` makes one")
        asked = self._asked.get(request.path)
        if asked is not None and not may(who, *asked):
            return RefusedError(403, "forbidden", f"{who.name} ({who.role}) may not {asked[0]} here")
        return None

    def _who(self, request: Request) -> Principal | None:
        given = request.headers.get(b"authorization")
        if given is None:
            return self._anonymous
        scheme, _, token = given.partition(b" ")
        if scheme.lower() != b"bearer" or len(token) > 512 or not token.isascii():
            return None
        try:
            return self._verify(token.strip().decode("ascii"), self._now())
        except AnewError:
            self.counts["unverifiable"] += 1
            return None

    def _is_ours(self, host: bytes) -> bool:
        name, colon, port = host.rpartition(b":")
        if not colon or not port.isdigit():
            name = host
        ours = name.lower() in self._hosts
        if ours and len(self._known) < 64:
            self._known.add(host)
        return ours
