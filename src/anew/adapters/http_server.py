"""Serves HTTP/1.1 to one handler: httptools parses, uvloop moves the bytes, and nothing stands between.

An ASGI server makes a task, a scope and two callables for each request; measured here that cost more than parsing,
scoring and recording it together.
"""

import asyncio
import signal
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools
import uvloop

from anew.ports.http import Handler, Reply, Request

__all__ = ["ServerSettings", "listen", "run", "serve", "stop_on_signals"]

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LINGER_S: Final = 2.0
_BESIDE_S: Final = 0.1
_MOST_WAITING: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Bounds on connections.

    Attributes
    ----------
    most_body_bytes, most_head_bytes
        Bounds on one request: its body, and its target with all headers.
    most_connections
        Further ones are told 503 and closed.
    idle_s
        How long a connection may be open between requests.
    slow_s
        How long a request may take to arrive.
    drain_s
        How long running requests may take to end after a signal to stop.
    """

    most_body_bytes: int = 1 << 20
    most_head_bytes: int = 1 << 15
    most_connections: int = 10_000
    idle_s: float = 75.0
    slow_s: float = 30.0
    drain_s: float = 10.0


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket that nobody listens on yet; port 0 takes a free one.

    Other processes may share it, or bind sockets of their own to the same port (SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    return listener


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the coroutine that `main` makes on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def stop_on_signals() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set from now on, in the main thread's running loop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def serve(
    handler: Handler,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    on_stop: Callable[[], None] = lambda: None,
    settings: ServerSettings | None = None,
    beside: Sequence[socket.socket] = (),
) -> None:
    """Serve until `stop` is set; then call `on_stop`, take no new connections, and let running requests end.

    Parameters
    ----------
    beside
        Sockets of the same port that other processes serve: who waits there is served here when they do not come to it,
        because they died or hang.
    """
    service = _Service(handler, settings or ServerSettings())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(service), sock=listener, backlog=2048)
    tasks = [asyncio.create_task(service.sweep()), asyncio.create_task(service.stand_in(beside))]
    await stop.wait()
    on_stop()
    for task in tasks:
        task.cancel()
    for each in (listener, *beside):
        await service.let_in(each)  # who waits would be lost with the socket
    server.close()
    for each in beside:
        each.close()
    await service.drain()


@dataclass(slots=True)
class _Service:
    """What the connections share."""

    handler: Handler
    settings: ServerSettings
    open: "set[_Connection]" = field(default_factory=set)
    draining: bool = False
    heads: dict[int, bytes] = field(default_factory=dict)
    places: dict[bytes, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stamp()

    def stamp(self) -> None:
        """Write the date into what every reply begins with."""
        date = formatdate(usegmt=True).encode()
        self.heads = {
            int(status): b"HTTP/1.1 %d %s\r\ndate: %s\r\nx-content-type-options: nosniff\r\ncontent-type: "
            % (status, status.phrase.encode(), date)
            for status in HTTPStatus
        }

    async def sweep(self) -> None:
        """Once a second, write the date anew and end the connections on which nothing happens."""
        while True:
            await asyncio.sleep(min(1.0, self.settings.slow_s, self.settings.idle_s))
            self.stamp()
            now = asyncio.get_running_loop().time()
            for connection in list(self.open):
                connection.expire(now)

    async def stand_in(self, beside: Sequence[socket.socket]) -> None:
        """Let in, again and again, those who wait at the sockets of others."""
        while beside:
            await asyncio.sleep(_BESIDE_S)
            for listener in beside:
                await self.let_in(listener)

    async def let_in(self, listener: socket.socket) -> None:
        """Let everybody in who waits now."""
        listener.setblocking(False)
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:  # nobody waits, or nobody listens there yet
                return
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: _Connection(self), caller)

    async def drain(self) -> None:
        """Close what is idle, wait for what is being answered, then close the rest."""
        self.draining = True
        loop = asyncio.get_running_loop()
        until = loop.time() + self.settings.drain_s
        for connection in list(self.open):
            connection.leave()
        while self.open and loop.time() < until:
            await asyncio.sleep(0.01)
        for connection in list(self.open):
            connection.abort()

    def place(self, target: bytes) -> str:
        """Return the decoded path of a request's target; the few that are asked for again and again are remembered.

        Raises
        ------
        ValueError
            It is no path.
        """
        known = self.places.get(target)
        if known is not None:
            return known
        raw = httptools.parse_url(target).path
        if not raw:
            raise ValueError("the target has no path")
        path = unquote(raw.decode("ascii"), errors="strict")
        if len(self.places) < 256 and len(target) < 256:
            self.places[target] = path
        return path


class _Connection(asyncio.Protocol):
    """One connection: requests in, replies out, in order, one at a time."""

    __slots__ = (
        "bare", "began", "busy", "closing", "headers", "last", "parser", "parts", "paused", "refused", "service",
        "size", "target", "transport", "waiting",
    )  # fmt: skip

    def __init__(self, service: _Service) -> None:
        self.service = service
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[tuple[Request, bool]] = deque()
        self.bare = self.busy = self.closing = self.paused = self.refused = False
        self.last = 0.0
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        self.last = asyncio.get_running_loop().time()
        self.service.open.add(self)
        if len(self.service.open) > self.service.settings.most_connections:
            self.refuse(503, "there are too many connections; try again later")

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the connection; what is being answered is answered and recorded, and told nobody."""
        self.service.open.discard(self)
        self.transport = None
        self.waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self.refused:
            return
        self.last = asyncio.get_running_loop().time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.refuse(400, "this server does not change the protocol; send the request without `upgrade`")
        except httptools.HttpParserError as exc:
            if not self.refused:
                self.refuse(400, f"this is no HTTP request: {exc}")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.parts: list[bytes] = []
        self.size = 0
        self.began = self.last

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        self.target += part
        self.size += len(part)
        if self.size > self.service.settings.most_head_bytes:
            self._too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers[name.lower()] = value
        self.size += len(name) + len(value) + 4
        if self.size > self.service.settings.most_head_bytes:
            self._too_long()

    def on_headers_complete(self) -> None:
        """Look whether the body may come."""
        self.size = 0
        length = self.headers.get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > self.service.settings.most_body_bytes:
            self._too_big()
        elif b"expect" in self.headers and self.transport is not None and not self.busy and not self.refused:
            self.transport.write(_CONTINUE)

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self.size += len(part)
        if self.size > self.service.settings.most_body_bytes:
            self._too_big()
        else:
            self.parts.append(part)

    def on_message_complete(self) -> None:
        """Have the request answered, after those before it."""
        if self.refused or self.parser.should_upgrade():
            return
        parts = self.parts
        try:
            path = self.service.place(self.target)
        except (httptools.HttpParserInvalidURLError, ValueError):
            self.refuse(400, "the target of the request is no path")
            return
        request = Request(
            self.parser.get_method().decode(), path, self.headers, parts[0] if len(parts) == 1 else b"".join(parts)
        )
        self.target = b""
        lasting = self.parser.should_keep_alive()
        if not self.busy:
            self._begin(request, lasting)
            return
        self.waiting.append((request, lasting))
        self.pause_writing()
        if len(self.waiting) > _MOST_WAITING:
            self.refuse(429, "too many requests were sent without waiting for a reply")

    def respond(self, reply: Reply) -> None:
        """Send the reply to the request that is being answered, and begin with the next."""
        self.busy = False
        transport = self.transport
        if transport is None:
            return
        closing = self.closing or self.service.draining
        transport.write(self._bytes(reply, closing=closing))
        if closing:
            transport.close()
        elif self.waiting:
            self._begin(*self.waiting.popleft())
        elif self.paused:
            self.resume_writing()

    def refuse(self, status: int, message: str) -> None:
        """Say what is wrong, read no more, and close once the other side has had time to hear it."""
        self.refused, self.closing = True, True
        self.waiting.clear()
        transport = self.transport
        if transport is None or self.busy:
            return
        transport.write(self._bytes(self.service.handler.refusal(status, message), closing=True))
        # Closing with unread bytes would reset the connection, and the reply might never be read.
        if transport.can_write_eof():
            transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_S, self.abort)

    def expire(self, now: float) -> None:
        """End a connection that has been idle, or slow, for too long."""
        if self.busy or self.refused:
            return
        settings = self.service.settings
        if self.target and now - self.began > settings.slow_s:
            self.refuse(408, f"the request did not arrive within {settings.slow_s:g} s")
        elif not self.target and now - self.last > settings.idle_s:
            self.abort()

    def leave(self) -> None:
        """Close at once when idle, else after the reply."""
        if not self.busy:
            self.abort()

    def abort(self) -> None:
        """Close now."""
        if self.transport is not None:
            self.transport.close()

    def pause_writing(self) -> None:
        """Read nothing from one who does not read, or has asked enough for now."""
        if self.transport is not None and not self.paused:
            self.paused = True
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self.transport is not None and self.paused and not self.waiting:
            self.paused = False
            self.transport.resume_reading()

    def _begin(self, request: Request, lasting: bool) -> None:
        self.busy, self.closing, self.bare = True, not lasting, request.method == "HEAD"
        self.service.handler(request, self.respond)

    def _bytes(self, reply: Reply, *, closing: bool) -> bytes:
        body = reply.body
        head = b"%s%s\r\ncontent-length: %d\r\n" % (self.service.heads[reply.status], reply.media, len(body))
        for name, value in reply.headers:
            head += b"%s: %s\r\n" % (name, value)
        return b"%s%s\r\n%s" % (head, b"connection: close\r\n" if closing else b"", b"" if self.bare else body)

    def _too_long(self) -> None:
        if not self.refused:
            self.refuse(431, f"target and headers may have {self.service.settings.most_head_bytes} bytes together")

    def _too_big(self) -> None:
        if not self.refused:
            most = self.service.settings.most_body_bytes
            self.refuse(413, f"the body may have {most} bytes; send fewer rows at once")
