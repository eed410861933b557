"""Connections that change between two servers at one socket, with what has been read of their next request."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import uvloop

from anew.adapters.connection_pass import MOST_READ, Passage, way
from anew.adapters.http_server import ServerSettings, listen, serve
from anew.ports.http import Reply, Request, Respond

BODY = json.dumps({"row": list(range(40))}).encode()
ASKED = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


@dataclass
class Named:
    """Answers with its name and what it was sent."""

    name: str

    def __call__(self, request: Request, respond: Respond) -> None:
        """Answer at once."""
        respond(Reply(200, f"{self.name} {len(request.body)}".encode()))

    def refusal(self, status: int, message: str) -> Reply:
        """Say it."""
        return Reply(status, message.encode())


async def said(reader: asyncio.StreamReader) -> str:
    """Return the body of a reply."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    return (await reader.readexactly(length)).decode()


async def told(first: bytes, rest: bytes, replies: int) -> list[str]:
    """Send `first` while it is one server's turn and `rest` while it is the other's; return who answered what."""
    turn, stop, settings = ["one"], asyncio.Event(), ServerSettings(most_body_bytes=1 << 20)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen("127.0.0.1", 0))
        ends = [stack.enter_context(end) for end in way()]
        tasks = [
            asyncio.create_task(
                serve(
                    Named(name), listener, stop, settings=settings,
                    passage=Passage(end, lambda name=name: turn[0] == name),  # type: ignore[misc]  # bound at once
                )
            )
            for name, end in zip(("one", "two"), ends, strict=True)
        ]  # fmt: skip
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(first)
        await asyncio.sleep(0.05)
        turn[0] = "two"
        await asyncio.sleep(0.05)
        writer.write(rest)
        found = [await asyncio.wait_for(said(reader), 5) for _ in range(replies)]
        writer.close()
        await writer.wait_closed()
        stop.set()
        await asyncio.gather(*tasks)
    return found


@pytest.mark.parametrize("cut", [0, 1, 20, len(ASKED) - len(BODY) - 1, len(ASKED) - len(BODY), len(ASKED) - 1])
@pytest.mark.parametrize("before", [b"", ASKED])
def test_an_unfinished_request_is_answered_by_whose_turn_it_is(before: bytes, cut: int) -> None:
    first = [f"one {len(BODY)}"] if before else []
    found = uvloop.run(told(before + ASKED[:cut], ASKED[cut:], 1 + bool(before)))
    # where a request ended and the next began in one piece nobody knows where that next one begins
    assert found == [*first, f"one {len(BODY)}" if before and cut else f"two {len(BODY)}"]


def test_what_is_too_much_to_send_on_is_answered_where_it_came_and_the_next_request_is_not() -> None:
    body = b"x" * (2 * MOST_READ)
    asked = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    assert uvloop.run(told(asked[:-1], asked[-1:], 1)) == [f"one {len(body)}"]
    assert uvloop.run(told(asked[:-1], asked[-1:] + ASKED, 2))[0] == f"one {len(body)}"
    assert uvloop.run(told(asked, ASKED, 2)) == [f"one {len(body)}", f"two {len(BODY)}"]
