"""The HTTP server over real sockets: what it parses, what it refuses, how it ends."""

import asyncio
import contextlib
import json
import resource
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from anew.adapters.http_server import ServerSettings, listen, serve
from anew.ports.http import Reply, Request, Respond

SMALL = ServerSettings(most_body_bytes=1000, most_head_bytes=2000)
POST = b"POST /x HTTP/1.1\r\nhost: h\r\n"


@dataclass
class Echo:
    """Says what it was asked; a path of ``/later`` is answered when told to."""

    seen: list[Request] = field(default_factory=list)
    waiting: list[Respond] = field(default_factory=list)

    def __call__(self, request: Request, respond: Respond) -> None:
        """Answer at once, or keep the request."""
        self.seen.append(request)
        if request.path == "/later":
            self.waiting.append(respond)
        else:
            said = {"method": request.method, "path": request.path, "body": request.body.decode()}
            respond(Reply(200, json.dumps(said).encode(), headers=((b"x-more", b"1"),)))

    def refusal(self, status: int, message: str) -> Reply:
        """Say it."""
        return Reply(status, json.dumps({"said": message}).encode())


@dataclass
class Wire:
    """One connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        """Write."""
        self.writer.write(data)

    async def reply(self, *, bare: bool = False) -> tuple[int, dict[str, str], Any]:
        """Read one reply: status, headers, decoded body."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = b"" if bare else await self.reader.readexactly(int(headers["content-length"]))
        return int(first.split()[1]), headers, json.loads(body) if body else None

    async def reply_to(self, data: bytes) -> tuple[int, dict[str, str], Any]:
        """Write, and read one reply."""
        self.send(data)
        return await self.reply()

    async def ended(self) -> bool:
        """Wait for the other side to close."""
        return await self.reader.read() == b""


Story = Callable[[Echo, Callable[[], Awaitable[Wire]], asyncio.Event], Awaitable[None]]


def tell(story: Story, settings: ServerSettings = SMALL) -> Echo:
    """Serve an echo while `story` runs; the event stops the server."""
    echo = Echo()

    async def told() -> None:
        stop = asyncio.Event()
        wires: list[Wire] = []
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
            served = asyncio.create_task(serve(echo, listener, stop, settings=settings))

            async def connect() -> Wire:
                wires.append(Wire(*await asyncio.open_connection("127.0.0.1", port)))
                return wires[-1]

            try:
                await asyncio.wait_for(story(echo, connect, stop), 20)
            finally:
                for wire in wires:
                    wire.writer.close()
                stop.set()
                await asyncio.wait_for(served, 20)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(told())
    return echo


def test_one_connection_carries_many_requests_in_any_pieces() -> None:
    async def story(echo: Echo, connect: Callable[[], Awaitable[Wire]], _: asyncio.Event) -> None:
        wire = await connect()
        text = POST + b"Content-Type: application/json\r\ncontent-length: 3\r\n\r\nabc"
        for i in range(1, len(text)):
            wire.send(text[:i])
            await asyncio.sleep(0)
            wire.send(text[i:])
            status, headers, body = await wire.reply()
            assert (status, body) == (200, {"method": "POST", "path": "/x", "body": "abc"})
        assert headers["x-more"] == "1"
        assert headers["content-type"] == "application/json"
        assert headers["date"].endswith("gmt")
        wire.send(POST + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        assert (await wire.reply())[2]["body"] == "abc"
        wire.send(b"GET /a%20b?q=1 HTTP/1.1\r\n\r\n")
        assert (await wire.reply())[2]["path"] == "/a b"

    assert tell(story).seen[0].headers[b"content-type"] == b"application/json"


def test_pipelined_requests_are_answered_in_order_and_not_without_end() -> None:
    async def story(echo: Echo, connect: Callable[[], Awaitable[Wire]], _: asyncio.Event) -> None:
        wire = await connect()
        wire.send(b"GET /later HTTP/1.1\r\n\r\n" + b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % i for i in range(10)))
        while not echo.waiting:
            await asyncio.sleep(0)
        assert len(echo.seen) == 1
        echo.waiting.pop()(Reply(200, b'{"path": "/later"}'))
        assert [(await wire.reply())[2]["path"] for _ in range(11)] == ["/later", *(f"/{i}" for i in range(10))]
        greedy = await connect()
        greedy.send(b"GET /later HTTP/1.1\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n" * 50)
        while not echo.waiting:
            await asyncio.sleep(0)
        echo.waiting.pop()(Reply(200, b"{}"))
        assert (await greedy.reply())[1]["connection"] == "close"
        assert await greedy.ended()

    tell(story)


@pytest.mark.fault("H6")
@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (POST + b"content-length: -1\r\n\r\n", 400),
        (POST + b"content-length: 1001\r\n\r\n", 413),
        (POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n" + (b"190\r\n" + b"x" * 400 + b"\r\n") * 3, 413),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n", 431),
        (POST + b"x-long: " + b"a" * 3000 + b"\r\n\r\n", 431),
        (b"GET /%ff HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_or_too_big_is_refused_and_the_connection_closed(text: bytes, status: int) -> None:
    async def story(_: Echo, connect: Callable[[], Awaitable[Wire]], __: asyncio.Event) -> None:
        wire = await connect()
        wire.send(text)
        found, headers, body = await wire.reply()
        assert (found, headers["connection"], bool(body["said"])) == (status, "close", True)
        assert await wire.ended()

    assert tell(story).seen == []


@pytest.mark.fault("H6")
@pytest.mark.parametrize(
    ("head", "part", "status"),
    [
        (POST + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 0x10000 + b"\r\n", 413),
        (POST + b"content-length: 10737418240\r\n\r\n", b"x" * 65_536, 413),
        (POST, b"x-many: header\r\n" * 4_096, 431),
        (b"GET /", b"a" * 65_536, 431),
        (b"", b"\x00" * 65_536, 400),
    ],
    ids=["endless chunks", "ten gigabytes", "endless headers", "endless path", "endless nothing"],
)
def test_what_never_ends_is_refused_in_bounded_memory(head: bytes, part: bytes, status: int) -> None:
    """Up to 256 MB are offered; what is taken is what the kernel's buffers hold beside the limits."""
    sent = 0

    async def story(_: Echo, connect: Callable[[], Awaitable[Wire]], __: asyncio.Event) -> None:
        nonlocal sent
        wire = await connect()
        wire.send(head)

        async def flood() -> None:
            nonlocal sent
            for _ in range(4_096):
                if wire.reader.at_eof() or wire.writer.transport.is_closing():
                    return
                wire.send(part)
                await wire.writer.drain()
                sent += len(part)

        flooding = asyncio.create_task(flood())
        found, _headers, _body = await wire.reply()
        assert found == status
        with contextlib.suppress(ConnectionError):
            await flooding

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert tell(story).seen == []
    assert sent < 64 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_the_wishes_of_the_caller_are_kept() -> None:
    async def story(echo: Echo, connect: Callable[[], Awaitable[Wire]], _: asyncio.Event) -> None:
        wire = await connect()
        wire.send(POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(b"ab")
        assert (await wire.reply())[2]["body"] == "ab"
        wire.send(POST + b"expect: 200-ok\r\ncontent-length: 2\r\n\r\nab")
        assert (await wire.reply())[0] == 200
        wire.send(b"HEAD /x HTTP/1.1\r\n\r\nGET /y HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert (await wire.reply(bare=True))[0] == 200
        status, headers, body = await wire.reply()
        assert (status, headers["connection"], body["path"]) == (200, "close", "/y")
        assert await wire.ended()

    tell(story)


@pytest.mark.fault("H6")
def test_slow_and_idle_connections_are_ended_and_those_that_wait_are_not() -> None:
    async def story(echo: Echo, connect: Callable[[], Awaitable[Wire]], _: asyncio.Event) -> None:
        slow, idle, waiting = await connect(), await connect(), await connect()
        waiting.send(b"GET /later HTTP/1.1\r\n\r\n")
        slow.send(POST + b"content-length: 5\r\n\r\nab")
        assert (await slow.reply())[0] == 408
        assert await idle.ended()
        echo.waiting.pop()(Reply(200, b"{}"))
        assert (await waiting.reply())[0] == 200

    tell(story, ServerSettings(slow_s=0.05, idle_s=0.05))


def test_too_many_connections_are_turned_away() -> None:
    async def story(_: Echo, connect: Callable[[], Awaitable[Wire]], __: asyncio.Event) -> None:
        first = await connect()
        first.send(b"GET /x HTTP/1.1\r\n\r\n")
        await first.reply()
        second = await connect()
        assert (await second.reply())[0] == 503
        assert await second.ended()
        first.send(b"GET /x HTTP/1.1\r\n\r\n")
        assert (await first.reply())[0] == 200

    tell(story, ServerSettings(most_connections=1))


def test_stopping_lets_running_requests_end_and_takes_no_others() -> None:
    async def story(echo: Echo, connect: Callable[[], Awaitable[Wire]], stop: asyncio.Event) -> None:
        idle, busy = await connect(), await connect()
        busy.send(b"GET /later HTTP/1.1\r\n\r\n")
        while not echo.waiting:
            await asyncio.sleep(0)
        stop.set()
        assert await idle.ended()
        with pytest.raises(OSError):
            await connect()
        echo.waiting.pop()(Reply(200, b"{}"))
        status, headers, _ = await busy.reply()
        assert (status, headers["connection"]) == (200, "close")
        assert await busy.ended()

    tell(story)


@pytest.mark.fault("S7")
def test_callers_who_go_away_in_the_middle_leave_nothing_behind() -> None:
    async def story(echo: Echo, connect: Callable[[], Awaitable[Wire]], _: asyncio.Event) -> None:
        for _i in range(50):
            half, whole = await connect(), await connect()
            half.send(POST + b"content-length: 5\r\n\r\nab")
            whole.send(b"GET /later HTTP/1.1\r\n\r\n")
            while not echo.waiting:
                await asyncio.sleep(0)
            for wire in (half, whole):
                wire.writer.transport.abort()
                await asyncio.sleep(0.001)
            echo.waiting.pop()(Reply(200, b"{}"))  # what comes after is told nobody
        assert {request.path for request in echo.seen} == {"/later"}

    tell(story)


async def _asked(echo: Echo, number: int) -> None:
    while len(echo.waiting) < number:
        await asyncio.sleep(0)


@pytest.mark.fault("S7")
@pytest.mark.parametrize("number", [1, 3])
def test_who_sends_no_more_is_answered_all_the_same_and_the_connection_closed(number: int) -> None:
    async def story(echo: Echo, connect: Callable[[], Awaitable[Wire]], _: asyncio.Event) -> None:
        wire = await connect()
        wire.send(b"POST /later HTTP/1.1\r\ncontent-length: 2\r\n\r\nab" * number)
        await _asked(echo, 1)
        wire.writer.write_eof()
        await (await connect()).reply_to(b"GET /x HTTP/1.1\r\n\r\n")  # by now the end has come, too
        for i in range(number):
            await _asked(echo, i + 1)
            echo.waiting[i](Reply(200, b"{}"))
            assert (await wire.reply())[0] == 200
        assert await wire.ended()

    tell(story)


def test_who_ends_in_the_middle_of_a_request_is_answered_what_was_whole() -> None:
    async def story(echo: Echo, connect: Callable[[], Awaitable[Wire]], _: asyncio.Event) -> None:
        wire = await connect()
        wire.send(b"GET /later HTTP/1.1\r\n\r\n" + POST + b"content-length: 5\r\n\r\nab")
        await _asked(echo, 1)
        wire.writer.write_eof()
        await (await connect()).reply_to(b"GET /x HTTP/1.1\r\n\r\n")
        echo.waiting[0](Reply(200, b"{}"))
        assert (await wire.reply())[0] == 200
        assert await wire.ended()

    tell(story)
