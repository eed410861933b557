"""The server of pages under floods: what is slow, huge, or too many, ends; who comes with a request is answered."""

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from anew.adapters.page_server import PageLimits, page_server

LIMITS = PageLimits(most_connections=20, most_bytes=20_000, patience_s=1.0)


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def stream(_: Request) -> StreamingResponse:
    async def beats() -> object:
        while True:
            yield b"beat\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(beats())  # type: ignore[arg-type]  # it yields bytes


APP = Starlette(routes=[Route("/", echo, methods=["GET", "POST"]), Route("/stream", stream)])


@contextmanager
def served(app: ASGIApp = APP, limits: PageLimits = LIMITS) -> Iterator[int]:
    server = page_server(app, limits, host="127.0.0.1", port=0, timeout_graceful_shutdown=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it never was"
        time.sleep(0.01)


def ended(wire: socket.socket) -> bool:
    """Tell whether the other side has closed."""
    wire.setblocking(False)
    try:
        while wire.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def wired(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port))


HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.fault("H6")
@pytest.mark.parametrize("drips", [HEAD, b"", b"\r\n", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx"])
def test_a_request_that_drips_is_ended_and_others_are_answered_meanwhile(drips: bytes) -> None:
    with served() as port, wired(port) as slow:
        slow.sendall(drips)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as quick:
            began = time.monotonic()

            def over() -> bool:
                assert quick.get("/").status_code == 200
                with suppress(OSError):
                    slow.send(b"\r\n" if drips in (b"", b"\r\n") else b"x")
                return ended(slow)

            until(over)
            assert time.monotonic() - began >= LIMITS.patience_s * 0.8, "not before its time"


@pytest.mark.fault("H6")
def test_a_connection_that_is_kept_is_good_for_many_requests_and_a_stream_is_no_slow_request() -> None:
    with served() as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as kept:
        with kept.stream("GET", "/stream") as beats:
            began, heard = time.monotonic(), 0
            for part in beats.iter_bytes():
                heard += len(part)
                if time.monotonic() - began > 2 * LIMITS.patience_s:
                    break
            assert heard > 50
        assert [kept.post("/", content=b"x" * 9_000).text for _ in range(5)] == ["9000"] * 5


@pytest.mark.fault("H6")
@pytest.mark.parametrize(
    "flood",
    [
        HEAD + b"".join(b"x-%d: y\r\n" % i for i in range(100_000)),
        b"GET /" + b"x" * 2_000_000,
        HEAD + b"x: " + b"y" * 2_000_000,
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"1000\r\n" + b"z" * 4096 + b"\r\n" * 1 + b"1000\r\n" * 200_000,
    ],
    ids=["headers", "path", "header", "chunks"],
)
def test_more_than_a_request_may_have_is_not_kept(flood: bytes) -> None:
    with served() as port, wired(port) as wire:
        with suppress(OSError):
            wire.sendall(flood)
        until(lambda: ended(wire))
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200


@pytest.mark.fault("H6")
def test_ten_gigabytes_in_chunks_are_not_read_to_the_end() -> None:
    with served() as port, wired(port) as wire:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wire.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        sent, chunk = 0, b"10000\r\n" + b"z" * 65_536 + b"\r\n"
        with pytest.raises(OSError, match=r"."):
            while sent < 10_000_000_000:
                sent += wire.send(chunk)
        assert sent < 20_000_000
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown < 50, f"it grew by {grown:.0f} MB"


@pytest.mark.fault("H6")
def test_who_comes_with_a_request_is_answered_while_idle_connections_flood() -> None:
    patient = PageLimits(most_connections=20, patience_s=60.0)
    with served(limits=patient) as port:
        idle = [wired(port) for _ in range(100)]
        codes = [httpx.get(f"http://127.0.0.1:{port}/").status_code for _ in range(10)]
        assert codes == [200] * 10
        until(lambda: sum(not ended(each) for each in idle) <= patient.most_connections)
        for each in idle:
            each.close()


@pytest.mark.fault("H6")
def test_control_without_a_limit_idle_connections_stay() -> None:
    with served(limits=PageLimits(most_connections=1_000, patience_s=60.0)) as port:
        idle = [wired(port) for _ in range(100)]
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
        assert sum(not ended(each) for each in idle) == 100
        for each in idle:
            each.close()
