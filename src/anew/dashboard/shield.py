"""What stands before every page: whose name it is called by, where a form comes from, and what browsers are told."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anew.dashboard.flood import Flood
from anew.dashboard.network import place_of

__all__ = ["WORD", "Shield", "headers_of"]

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src {style}; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

_SAFE = frozenset({"GET", "HEAD"})
_MOST_BYTES = 65_536
WORD: Final = "/sign-out/provider"
"""Where a provider of identity says that somebody signed out: from no page, with no cookie, by a signature."""


def headers_of(style: str) -> Mapping[str, str]:
    """Return what is on every response.

    Parameters
    ----------
    style
        The only style sheet that is applied, by its digest as a policy of content names it; ``'none'`` for none.
    """
    return {name: value.format(style=style) for name, value in _HEADERS.items()}


class Shield:
    """Refuses what is not for us, and puts `headers_of` on every response.

    Parameters
    ----------
    hosts
        Names by which we may be called, without ports: a page of another site that had its name point here would call
        us by that name.
    origin
        Our address to browsers where a proxy ends TLS in front of us, e.g. ``https://anew.example.org``; empty: they
        reach us as we are. Forms that say they come from there are taken when they call us by that name.
    clock
        Seconds, going forward, by which requests of one place are counted.
    style
        As `headers_of` takes it.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        origin: str = "",
        clock: Callable[[], float] = time.monotonic,
        *,
        style: str = "'none'",
    ) -> None:
        self._app = app
        self._said = headers_of(style)
        self._clock = clock
        self._rates = Flood()
        self._origin = origin
        self._behind = origin.removeprefix("https://")
        named = {_name(self._behind)} if origin else set()
        self._hosts = frozenset(host.lower() for host in hosts) | named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._said.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._flood(scope) or self._hindrance(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send_guarded)

    def _flood(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        by_proxy = bool(self._origin) and headers.get("host", "").lower() == self._behind
        peer = scope["client"][0] if scope.get("client") else ""
        place = place_of(peer, headers.getlist("x-forwarded-for") if by_proxy else [])
        wait_s = self._rates.wait_s(self._clock(), place)
        if not wait_s:
            return None
        said = f"too many requests from one place; wait {wait_s} s"
        return PlainTextResponse(said, 429, headers={"retry-after": str(wait_s)})

    def _hindrance(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return PlainTextResponse("this server is not called by that name; see access.hosts in anew.yaml", 421)
        if scope["method"] in _SAFE:
            return None
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            return PlainTextResponse("send the form without content-encoding", 415)
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > _MOST_BYTES:
            return PlainTextResponse(f"a form has a length, of at most {_MOST_BYTES} bytes", 413)
        if scope["path"] == WORD:
            return None
        origin = self._origin if host.lower() == self._behind else f"{scope['scheme']}://{host}"
        if not _from_here(headers, origin):
            return PlainTextResponse("the form was sent from another site; open the page here and send it again", 403)
        return None

    def _is_ours(self, host: str) -> bool:
        return _name(host).lower() in self._hosts


def _name(host: str) -> str:
    """Return a host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _from_here(headers: Headers, origin: str) -> bool:
    """Did a page of ours send it? Browsers say so by either header; without both, nobody vouches for it."""
    site, named = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and named is None:
        return False
    return site in (None, "same-origin") and named in (None, origin)
