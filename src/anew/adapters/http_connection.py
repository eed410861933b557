"""Connections of HTTP/1.1, and what they share: requests in, replies out, in order."""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import unquote

import httptools

from anew.adapters.connection_pass import MOST_READ, Passage
from anew.adapters.server_settings import ServerSettings
from anew.ports.http import Handler, Reply, Request

__all__ = ["Connection", "Service"]

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LINGER_S: Final = 2.0
_BESIDE_S: Final = 0.1
_MOST_WAITING: Final = 16


@dataclass(slots=True)
class Service:
    """What the connections share."""

    handler: Handler
    settings: ServerSettings
    passage: Passage | None = None
    open: "set[Connection]" = field(default_factory=set)
    draining: bool = False
    heads: dict[int, bytes] = field(default_factory=dict)
    places: dict[bytes, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stamp()

    @property
    def away(self) -> bool:
        """Is it another process's turn to answer?"""
        return self.passage is not None and not self.passage.here()

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
        while not self.away:
            try:
                caller, _ = listener.accept()
            except OSError:  # nobody waits, or nobody listens there yet
                return
            await self.seat(caller)

    async def seat(self, caller: socket.socket, read: bytes = b"") -> None:
        """Serve a connection that was accepted already, and of whose next request a part may have been read."""
        caller.setblocking(False)
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(self, read), caller)

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


class Connection(asyncio.Protocol):
    """One connection: requests in, replies out, in order, one at a time."""

    __slots__ = (
        "bare", "began", "busy", "closing", "ended", "headers", "held", "last", "parser", "parts", "paused",
        "reading", "refused", "service", "size", "target", "transport", "waiting", "whole",
    )  # fmt: skip

    def __init__(self, service: Service, read: bytes = b"") -> None:
        self.service = service
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[tuple[Request, bool]] = deque()
        self.bare = self.busy = self.closing = self.ended = self.paused = self.refused = False
        self.last = 0.0
        self.on_message_begin()
        self.reading = self.whole = False
        self.held: bytes | None = read  # what came of the next request; None: nobody knows where that begins

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        self.last = asyncio.get_running_loop().time()
        self.service.open.add(self)
        if len(self.service.open) > self.service.settings.most_connections:
            self.refuse(503, "there are too many connections; try again later")
        elif self.held:
            read, self.held = self.held, b""
            self.data_received(read)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the connection; what is being answered is answered and recorded, and told nobody."""
        self.service.open.discard(self)
        self.transport = None
        self.waiting.clear()

    def eof_received(self) -> bool:
        """Answer all that was asked before the caller said that it sends no more; say whether there is any."""
        self.ended = True
        return self.busy

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self.refused:
            return
        self.last = asyncio.get_running_loop().time()
        if self.service.passage is not None and self._passed_on(data):
            return
        self.whole = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.refuse(400, "this server does not change the protocol; send the request without `upgrade`")
        except httptools.HttpParserError as exc:
            if not self.refused:
                self.refuse(400, f"this is no HTTP request: {exc}")
        if self.whole:
            self.held = None if self.reading else b""

    def _passed_on(self, data: bytes) -> bool:
        """Keep what came of the next request; in another process's turn it goes on there."""
        if self.held is None:
            return False
        self.held = self.held + data if len(self.held) + len(data) <= MOST_READ else None
        if self.service.away:
            self.send_on()
        return self.transport is None or self.transport.is_closing()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.reading = True
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
        elif self._waits_to_send() and self.transport is not None and not self.busy and not self.refused:
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
        self.target, self.reading, self.whole = b"", False, True
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
        closing = self.closing or self.service.draining or (self.ended and not self.waiting)
        transport.write(self._bytes(reply, closing=closing))
        if closing:
            transport.close()
        elif self.waiting:
            self._begin(*self.waiting.popleft())
        elif self.paused:
            self.resume_writing()
        if self.service.away:
            self.send_on()

    def send_on(self) -> None:
        """Let the connection go on in the process whose turn it is, unless it is in the middle of something."""
        transport, passage = self.transport, self.service.passage
        if transport is None or passage is None or transport.is_closing() or transport.get_write_buffer_size():
            return
        if self.busy or self.held is None or self.waiting or self.refused:
            return
        transport.pause_reading()  # what comes from now on is read there
        try:
            gone = passage.give(transport.get_extra_info("socket").fileno(), self.held)
        except OSError:
            transport.close()  # who comes anew, comes to the other one
            return
        if gone:
            transport.abort()
        else:
            transport.resume_reading()

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

    def _waits_to_send(self) -> bool:
        """Does the caller wait to be told to send the body? Other expectations are not of HTTP."""
        return self.headers.get(b"expect", b"").lower() == b"100-continue"

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
