"""A gateway with fakes behind it, served over real sockets from a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from anew.adapters.http_server import listen, serve
from anew.ports.http import Handler

__all__ = ["served"]


@contextmanager
def served(app: Handler) -> Iterator[str]:
    """Serve `app` until left; gives ``host:port``. The app has to be made outside of any loop."""
    loop = uvloop.new_event_loop()
    began = threading.Event()
    stop: list[asyncio.Event] = []

    async def run() -> None:
        stop.append(asyncio.Event())
        loop.call_soon(began.set)
        await serve(app, listener, stop[0])

    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
        thread.start()
        assert began.wait(10)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(stop[0].set)
            thread.join(20)
            loop.close()
