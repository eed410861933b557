"""Serves the dashboard: uvicorn, with limits on what one connection and all of them together may hold."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["PageLimits", "page_server"]

_REFUSAL: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 45\r\nconnection: close\r\n\r\na request here is no longer than 131072 bytes"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """What is enough for pages and forms.

    Parameters
    ----------
    most_connections
        Above that, the one that has kept us waiting longest for its request has to go.
    most_bytes
        Of a request, with its line, headers and body.
    patience_s
        For a whole request to come, from when we began to wait for it, however it drips.
    """

    most_connections: int = 256
    most_bytes: int = 131_072
    patience_s: float = 10.0


def page_server(app: Callable[..., Any], limits: PageLimits = PageLimits(), **settings: Any) -> uvicorn.Server:
    """Return the server of an ASGI application, not yet begun; `settings` are uvicorn's."""
    config = uvicorn.Config(
        app,
        http=partial(_Connection, limits),  # type: ignore[arg-type]  # what it calls is made by it
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        **{"timeout_graceful_shutdown": 1, **settings},
    )
    return uvicorn.Server(config)


class _Connection(HttpToolsProtocol):
    """One connection; until a whole request is here, it is waited for."""

    def __init__(self, limits: PageLimits, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = limits
        self._size = 0
        self._whole = False
        self._deadline: asyncio.TimerHandle | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait, and make room for it where there is none."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self._limits.most_connections:
            waiting = [each for each in self.connections if isinstance(each, _Connection) and each._deadline]
            min(waiting, key=lambda each: each._since, default=self)._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; what is not whole by then counts, and too much of it ends the connection."""
        super().data_received(data)
        if self._whole:
            self._whole = False
            return
        self._size += len(data)
        if self._size > self._limits.most_bytes and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_REFUSAL)
            self.transport.close()

    def on_message_complete(self) -> None:
        """Wait for it no more: it is here."""
        self._size, self._whole = 0, True
        self._stop()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next one, unless this one is still coming, for which nobody gets more time."""
        super().on_response_complete()
        if self._deadline is None and not self.transport.is_closing():
            self._wait()

    def _wait(self) -> None:
        self._since = self.loop.time()
        self._deadline = self.loop.call_later(self._limits.patience_s, self._end)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._stop()
        self.connections.discard(self)
        if self.transport is not None:
            self.transport.abort()
