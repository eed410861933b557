"""The one layer that every request passes: from where it may come, who sends it, and whether that one may."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from anew.domain.access import Permission, Principal, Role
from anew.domain.errors import AnewError
from anew.gateway.endpoint import json_reply
from anew.gateway.refusal import RefusedError
from anew.governance import may
from anew.ports.http import Handler, Reply, Request, Respond

__all__ = ["EXEMPT", "LOOPBACK", "OPEN", "Asked", "Gate", "Rules", "Verify", "together"]

EXEMPT: Final = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Paths that anybody may ask, exactly as written here: what a balancer needs, and nothing about any model.

They are answered under any name, since balancers and kubelets ask by addresses that nobody can declare. A page of
another site that had its name point here would learn yes or no, and nothing is changed by them.
"""

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""What everybody calls this machine."""

Asked = Mapping[str, tuple[Permission | None, str]]
"""What each path asks for, and of which model (empty: of all); None where what lies behind checks a signature."""

Verify = Callable[[str, datetime], Principal | None]
"""Says whose token it is at an instant; None for nobody's. Raises an AnewError when it cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who may use a gateway.

    Attributes
    ----------
    verify
        Finds the holder of a token.
    hosts
        Names by which the gateway may be called, without ports: a page of another site that had its name point here
        would call it by that name. With a slash, a network: a name can be made to point here, an address cannot.
    anonymous
        The role of who sends no token; None lets nobody in.
    """

    verify: Verify
    hosts: frozenset[str] = LOOPBACK
    anonymous: Role | None = None


OPEN: Final = Rules(verify=lambda _token, _now: None, anonymous=Role.MACHINE)
"""On loopback, for everybody there."""


def together(rules: Mapping[str, Rules]) -> Rules:
    """Return the rules of one gateway for several models: a model's tokens are good for that model alone.

    Strangers are let in where every model lets them in.
    """

    def verify(token: str, now: datetime) -> Principal | None:
        for model, each in rules.items():
            who = each.verify(token, now)
            if who is not None and (not who.models or model in who.models):
                return replace(who, models=frozenset({model})) if len(rules) > 1 else who
        return None

    roles = {each.anonymous for each in rules.values()}
    return Rules(
        verify=verify,
        hosts=frozenset[str]().union(*(each.hosts for each in rules.values())),
        anonymous=roles.pop() if len(roles) == 1 else None,
    )


class Gate:
    """A `Handler` in front of another; what it does not know, it refuses.

    Parameters
    ----------
    asked
        Paths that are there; any other is refused to strangers just as these are, and tells nothing.
    """

    def __init__(self, handler: Handler, asked: Asked, rules: Rules, *, now: Callable[[], datetime]) -> None:
        self._handler = handler
        self._asked = asked
        self._verify = rules.verify
        self._now = now
        self._hosts = frozenset(host.lower().encode() for host in rules.hosts if "/" not in host)
        self._networks = tuple(ip_network(host) for host in rules.hosts if "/" in host)
        role = rules.anonymous
        self._anonymous = None if role is None else Principal(id="anonymous", name="anonymous", role=role)
        stranger = self._anonymous
        self._free = frozenset(
            path for path, (what, model) in asked.items() if stranger and what and may(stranger, what, model)
        )
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
        if request.path in EXEMPT:
            return None
        host = request.headers.get(b"host", b"")
        if host not in self._known and not self._is_ours(host):
            return RefusedError(421, "host", "this server is not called by that name; see access.hosts in anew.yaml")
        asked = self._asked.get(request.path)
        if asked is not None and asked[0] is None:
            return None
        if request.path in self._free and b"authorization" not in request.headers:
            return None
        who = self._who(request)
        if who is None:
            return RefusedError(401, "unauthorised", "send Authorization: Bearer TOKEN; `anew access create` makes one")
        request.who = who.name
        if asked is None or asked[0] is None or may(who, asked[0], asked[1]):
            return None
        return RefusedError(403, "forbidden", f"{who.name} ({who.role}) may not {asked[0]} here")

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
        ours = name.lower() in self._hosts or _is_in(name, self._networks)
        if ours and len(self._known) < 64:
            self._known.add(host)
        return ours


def _is_in(host: bytes, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Is it an address, of one of the networks?"""
    if not networks:
        return False
    try:
        address = ip_address(host.decode("ascii").removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return any(address in network for network in networks)
