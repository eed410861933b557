"""Serves HTTP/1.1 to one handler: httptools parses, uvloop moves the bytes, and nothing stands between.

An ASGI server makes a task, a scope and two callables for each request; measured here that cost more than parsing,
scoring and recording it together.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from anew.adapters.connection_pass import Passage
from anew.adapters.http_connection import Connection, Service
from anew.adapters.server_settings import ServerSettings
from anew.ports.http import Handler

__all__ = ["ServerSettings", "listen", "run", "serve", "stop_on_signals"]

_TURN_S: Final = 0.01


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
    passage: Passage | None = None,
) -> None:
    """Serve until `stop` is set; then call `on_stop`, take no new connections, and let running requests end.

    Parameters
    ----------
    beside
        Sockets of the same port that other processes serve: who waits there is served here when they do not come to it,
        because they died or hang.
    passage
        The way to another process that takes turns with this one at the same socket. While it is the other's turn
        nobody is let in here, and who is here already goes on there: between two requests, with the connection.
    """
    service = Service(handler, settings or ServerSettings(), passage)
    door = _Door(service, listener)
    await door.look()
    tasks = [asyncio.create_task(each) for each in (service.sweep(), service.stand_in(beside))]
    if passage is not None:
        passage.leave = door.leave
        tasks.append(asyncio.create_task(door.keep()))
    await stop.wait()
    on_stop()
    for task in tasks:
        task.cancel()
    for each in (listener, *beside):
        await service.let_in(each)  # who waits would be lost with the socket
    door.close()
    for each in beside:
        each.close()
    await service.drain()


@dataclass(slots=True)
class _Door:
    """Where callers come in: open, but while it is another process's turn."""

    service: Service
    listener: socket.socket
    server: asyncio.Server | None = None

    async def keep(self) -> None:
        """Open and close it as the turns change."""
        while True:
            await asyncio.sleep(_TURN_S)
            await self.look()

    async def look(self) -> None:
        """Open it, and seat who comes from the other process; or close it and send on who is here."""
        service = self.service
        if service.away:
            self.leave()
            return
        if self.server is None:
            loop = asyncio.get_running_loop()
            # a copy where it is shared: the other process goes on with the socket when this one has closed it
            own = self.listener if service.passage is None else self.listener.dup()
            self.server = await loop.create_server(lambda: Connection(service), sock=own, backlog=2048)
        for caller, read in () if service.passage is None else service.passage.take():
            await service.seat(caller, read)

    def leave(self) -> None:
        """Let nobody in any more, and send on whoever waits for no answer."""
        self.close()
        for connection in list(self.service.open):
            connection.send_on()

    def close(self) -> None:
        """Let nobody in."""
        if self.server is not None:
            self.server.close()
            self.server = None
