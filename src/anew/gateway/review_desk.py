"""Hands out what people are asked about, and takes their answers: ``/review/…``, for the labeller's role."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec

from anew.domain.column import Columns
from anew.domain.errors import AnewError, ConflictError, NotFoundError
from anew.gateway.endpoint import json_reply
from anew.gateway.label_request import known_value
from anew.gateway.labelling_hook import LabellingHook
from anew.gateway.refusal import RefusedError
from anew.gateway.strict_json import decode
from anew.ports.http import Reply, Request
from anew.ports.review import Question, ReviewStore

__all__ = ["ReviewDesk"]

T = TypeVar("T")
_ID = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{26}$")]


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    item: _ID
    value: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | float | str


class _Skip(msgspec.Struct, forbid_unknown_fields=True):
    item: _ID


_ANSWER = msgspec.json.Decoder(_Answer)
_SKIP = msgspec.json.Decoder(_Skip)


class ReviewDesk:
    """Works for one model. The store blocks, so it is asked from a thread.

    Parameters
    ----------
    lease
        Wall time for which a question is one person's.
    gold
        Share of the questions that have a known answer.
    hook
        What a labelling tool calls, where there is one.
    """

    def __init__(
        self,
        store: ReviewStore,
        columns: Columns,
        now: Callable[[], datetime],
        *,
        lease: timedelta,
        gold: float,
        hook: LabellingHook | None = None,
    ) -> None:
        self.hook = hook
        self._store = store
        self._columns = columns
        self._now = now
        self._lease = lease
        self._gold = gold

    async def next(self, request: Request) -> Reply:
        """Answer ``/review/next``."""
        lease = partial(self._store.lease, request.who, self._now(), self._lease, gold=self._gold)
        question = await _asked(lease)
        return json_reply(200, {"item": None if question is None else self._shown(question)})

    async def answer(self, request: Request) -> Reply:
        """Answer ``/review/answer``."""
        said = decode(_ANSWER, request.body, _colons)
        value = known_value(said.value, self._columns, "value")
        await _asked(partial(self._store.answer, said.item, request.who, value, self._now()))
        return json_reply(200, {"item": said.item, "taken": True})

    async def skip(self, request: Request) -> Reply:
        """Answer ``/review/skip``."""
        said = decode(_SKIP, request.body, lambda _: 1)
        await _asked(partial(self._store.skip, said.item, request.who, self._now()))
        return json_reply(200, {"item": said.item, "taken": True})

    async def status(self, request: Request) -> Reply:
        """Answer ``/review/status``: how much there is to do, and what the one who asks did; nothing of others."""
        found = await _asked(partial(self._store.status, self._now()))
        mine = found["labellers"].get(request.who, {})
        yours = {name: mine.get(name, 0) for name in ("answered", "skipped")}
        return json_reply(200, {name: found[name] for name in ("open", "leased", "oldest")} | {"yours": yours})

    def _shown(self, question: Question) -> dict[str, Any]:
        return {
            "id": question.id,
            "at": question.at.isoformat(),
            "row": question.row,
            "until": question.until.isoformat(),
            "target": self._columns.target,
            "classes": list(self._columns.classes),
        }


def _colons(said: _Answer) -> int:
    """Count the colons of a body without a key twice; see `decode`."""
    return 2 + (said.value.count(":") if isinstance(said.value, str) else 0)


async def _asked(ask: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(ask)
    except ConflictError as exc:
        raise RefusedError(409, "conflict", str(exc)) from exc
    except NotFoundError as exc:
        raise RefusedError(404, "not_found", str(exc)) from exc
    except AnewError as exc:
        raise RefusedError(503, "unavailable", "the review queue does not answer now") from exc
