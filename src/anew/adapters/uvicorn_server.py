"""Serves an ASGI application with uvicorn: httptools and uvloop, one process, sockets given."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
import uvloop

__all__ = ["listen", "run", "serve"]


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket that other processes may share by SO_REUSEPORT; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    return listener


async def serve(app: Any, listener: socket.socket, *, on_stop: Callable[[], None], drain_s: int = 10) -> None:
    """Serve until SIGTERM or SIGINT; then take no new connections and let running requests end, `drain_s` at most."""
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=drain_s,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        on_stop()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])


def run(main: Callable[[], Any]) -> None:
    """Run the coroutine that `main` makes on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


class _Server(uvicorn.Server):
    """A server whose signals are its caller's."""

    def capture_signals(self) -> Any:
        """Leave the signals alone."""
        return contextlib.nullcontext()
