"""News of the record as server-sent events: one for each new fact, a beat in between, resumed where they broke off."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import anyio

from anew.ports.eventlog import Recorded

__all__ = ["BEAT_S", "events"]

BEAT_S: Final = 3.0
"""Longest silence: whoever hears nothing for much longer knows that what he sees is old."""
_LOOK_S: Final = 0.5

News = Callable[[int], Awaitable[Sequence[Recorded]]]
"""Returns the facts after a number."""


async def events(after: int, news: News, is_good: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """Yield events from the fact after number `after` on, until the session is over.

    An event bears the number of its fact as its id, so that a browser that lost the connection asks from there on. Its
    data name the kind alone: what happened, the page says.
    """
    yield b"retry: 1000\nevent: beat\ndata: \n\n"
    silent, trusted = 0.0, 0.0
    while True:
        trusted += _LOOK_S
        if trusted >= BEAT_S:
            trusted = 0.0
            if not await is_good():
                return
        found = await news(after)
        for each in found:
            after = each.seq
            yield f"id: {each.seq}\nevent: fact\ndata: {each.fact.kind}\n\n".encode()
        silent = 0.0 if found else silent + _LOOK_S
        if silent >= BEAT_S:
            silent = 0.0
            yield b"event: beat\ndata: \n\n"
        await anyio.sleep(_LOOK_S)
