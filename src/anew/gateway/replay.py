"""The same client id again gets the same answer again."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from anew.domain.observation import Prediction
from anew.gateway.refusal import RefusedError
from anew.gateway.routing import Route
from anew.gateway.row import RequestRow

__all__ = ["Replays"]

_Answered = tuple[Route, Sequence[Prediction]]


@dataclass(slots=True)
class _Kept:
    asked: bytes
    answer: asyncio.Future[tuple[Route, Prediction]]


@dataclass(slots=True)
class Replays:
    """Remembers the last `most` answers by client id, in this worker alone. Belongs to one event loop.

    A repeat that reaches another worker, or comes after `most` others, is answered anew. If it gives the same event
    time it has the same prediction id, so the lake keeps one row, the first; without one it is a prediction of its
    own, as is another row under that id, which is refused where that is remembered.
    """

    most: int
    replayed: int = 0
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)

    async def answer(
        self, rows: Sequence[RequestRow], predict: Callable[[Sequence[RequestRow]], Awaitable[_Answered]]
    ) -> _Answered:
        """Answer `rows` with `predict`, except those whose id was answered, or is being answered, already.

        Raises
        ------
        RefusedError
            An id comes with another row than before (409); or what `predict` raises.
        """
        if not rows[0].client_id:
            return await predict(rows)
        fresh: list[tuple[RequestRow, _Kept]] = []
        entries: list[_Kept] = []
        try:
            for i, row in enumerate(rows):
                entry = self._find(row, f"ids[{i}]")
                if entry is None:
                    entry = self._enter(row)
                    fresh.append((row, entry))
                entries.append(entry)
            if fresh:
                await self._fill(fresh, predict)
        except BaseException as exc:
            self._forget(fresh, exc)
            raise
        found = [await asyncio.shield(entry.answer) for entry in entries]
        return found[0][0], [prediction for _, prediction in found]

    async def _fill(
        self,
        fresh: Sequence[tuple[RequestRow, _Kept]],
        predict: Callable[[Sequence[RequestRow]], Awaitable[_Answered]],
    ) -> None:
        route, predictions = await predict([row for row, _ in fresh])
        for (_, entry), prediction in zip(fresh, predictions, strict=True):
            entry.answer.set_result((route, prediction))
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)

    def _find(self, row: RequestRow, path: str) -> _Kept | None:
        entry = self._kept.get(row.client_id)
        if entry is None:
            return None
        if entry.asked != row.asked:
            raise RefusedError(
                409, "id_reused", f"the id {row.client_id!r} was used for another row; use a new one", path
            )
        self._kept.move_to_end(row.client_id)
        self.replayed += 1
        return entry

    def _enter(self, row: RequestRow) -> _Kept:
        entry = _Kept(row.asked, asyncio.get_running_loop().create_future())
        self._kept[row.client_id] = entry
        return entry

    def _forget(self, fresh: Sequence[tuple[RequestRow, _Kept]], problem: BaseException) -> None:
        """What was not answered may be asked again."""
        for row, entry in fresh:
            self._kept.pop(row.client_id, None)
            if not entry.answer.done():
                entry.answer.set_exception(
                    problem if isinstance(problem, Exception) else RefusedError(503, "interrupted", "try again")
                )
                entry.answer.exception()  # whoever waits is told; when nobody does, it is no mistake
