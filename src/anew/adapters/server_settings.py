"""Bounds on what a server takes."""

from dataclasses import dataclass

__all__ = ["ServerSettings"]


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
