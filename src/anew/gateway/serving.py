"""Answers requests: champion and fallback in this process, the challenger in its own, the record before the answer."""

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from anew.domain.errors import UnavailableError
from anew.domain.facts.rollout import Stage
from anew.domain.observation import Answer, FeedbackEvent, Label, Prediction, ShadowAnswer
from anew.gateway.admission import Admission
from anew.gateway.ask import Asked, asks_for
from anew.gateway.commit import GroupCommit
from anew.gateway.entry import Answered, Entry
from anew.gateway.failure_log import FirstOfKind, describe_failure
from anew.gateway.identity import Draw, prediction_id
from anew.gateway.logged import Logged, as_logged, stranger
from anew.gateway.record import Round, Voice, answered_plainly
from anew.gateway.refusal import RefusedError
from anew.gateway.routing import Route, Switch
from anew.gateway.row import RequestRow
from anew.gateway.settings import GatewaySettings, OnFull
from anew.gateway.version_call import Said, call_version

__all__ = ["Answered", "Serving"]

_LOG = logging.getLogger("anew.gateway")
_NO_MODEL = "no model is being served yet; anew status says what the first champion waits for"
_T = TypeVar("_T")


@dataclass(slots=True)
class Serving:
    """Predicts and takes labels, on one event loop.

    The requests that come in one turn of the loop, or while the disk is at a commit, are answered together: one call of
    the model for all their rows, one commit. When that call fails, each is answered by itself, so that none suffers for
    another. Where more come than can be answered in time, the newest are turned away at once.

    Attributes
    ----------
    counts
        ``predictions``, ``labels`` and ``feedback`` that are on disk and were acknowledged, ``dropped``;
        ``fallbacks``, rows that another version answered than was to; ``champion_failed``, rows that the champion was
        asked for in vain …
    """

    settings: GatewaySettings
    switch: Switch
    commit: GroupCommit
    now: Callable[[], datetime]
    counts: Counter[str] = field(default_factory=Counter)
    admission: Admission = field(init=False)
    _entered: deque[Entry] = field(default_factory=deque)
    _scheduled: bool = False
    _contested: int = 0
    _first: FirstOfKind = field(default_factory=FirstOfKind)
    _told: str = ""
    _draw: Draw = field(default_factory=Draw)

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn or for a challenger."""
        return len(self._entered) + self._contested

    def __post_init__(self) -> None:
        self.admission = Admission(self.settings.queue_ms / 1000)
        self.commit.held = self

    async def predict(self, rows: Sequence[RequestRow], within_s: float = math.inf) -> Answered:
        """Answer `rows` under one route and return when the answers are on disk.

        Raises
        ------
        RefusedError
            There is too much to do (503), or no champion (503); it and its fallback failed (500); their turn did not
            come within `within_s` (504); or the journal takes nothing and the policy is to fail (503).
        """
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

        def done(outcome: Answered | RefusedError) -> None:
            if future.done():
                return
            if isinstance(outcome, RefusedError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.enter(rows, _as_answered, done, within_s)
        return await future

    def enter(
        self,
        rows: Sequence[RequestRow],
        show: Callable[[Answered], _T],
        done: Callable[[_T | RefusedError], None],
        within_s: float = math.inf,
        logged: Logged | None = None,
    ) -> None:
        """Do what `predict` does, for a caller who rather hears of it than waits, and gives up after `within_s`.

        `done` hears, once, what `show` makes of the answers, or why there are none; `show` is asked while they are on
        their way to disk. What was `logged` is answered already: only a challenger in shadow is asked.
        """
        now, admission, entered, commit = time.perf_counter(), self.admission, self._entered, self.commit
        oldest = min(entered[0].started, commit.since) if entered else min(now, commit.since)
        if not admission.admits(now - oldest):
            self.counts["overloaded"] += len(rows)
            done(RefusedError(503, "overloaded", "there is too much to do to answer in time; try again later"))
            return
        admission.rows += len(rows)
        entered.append(Entry(rows, show, done, now, within_s, logged))
        if not self._scheduled and (not commit.busy or admission.fills()):
            self._schedule()

    async def take(self, said: Sequence[Label | FeedbackEvent]) -> None:
        """Return when labels and feedback are on disk; raises RefusedError as `predict` does."""
        labels = sum(isinstance(each, Label) for each in said)
        await self._keep(said, "labels" if labels == len(said) else "feedback")

    def _schedule(self) -> None:
        self._scheduled = True  # at the end of this turn of the loop: what is read in it is answered together
        asyncio.get_running_loop().call_soon(self._due)

    def _due(self) -> None:
        self._scheduled = False
        self._turn()

    def holds(self) -> bool:
        """Do requests wait for the disk to be free?"""
        return bool(self._entered)

    def takes_s(self) -> float:
        """For how long will answering them keep the loop, as far as is known?"""
        return self.admission.rows * self.admission.row_s

    def freed(self) -> None:
        """Answer what came during the last commit: nobody could have been told before, and more share one call now."""
        if self._entered and not self._scheduled:
            self._turn()

    def finish(self) -> None:
        """Answer all that wait for their turn now, under the route in force: the next one is not theirs."""
        while self._entered:
            self._turn()

    def _turn(self) -> None:
        """Answer the next requests together: as many as leave the loop free for others soon."""
        started = time.perf_counter()
        admission, entered, most, rows = self.admission, self._entered, self.admission.most_rows, 0
        batch: list[Entry] = []
        while entered and (not batch or rows + len(entered[0].rows) <= most):
            entry = entered.popleft()
            admission.rows -= len(entry.rows)
            if started - entry.started > entry.within_s:
                self.counts["expired"] += len(entry.rows)
                entry.end(RefusedError(504, "deadline", "its deadline passed before its turn came"))
                continue
            batch.append(entry)
            rows += len(entry.rows)
        try:
            if batch:
                self._guarded(batch, lambda: self._serve(batch))
                admission.served(rows, time.perf_counter() - started)
        finally:
            if entered and not self._scheduled:
                self._schedule()  # after the commit of this batch, which the disk can be at meanwhile

    def _guarded(self, batch: Sequence[Entry], work: Callable[[], None]) -> None:
        """Do `work` on `batch`; a defect of ours must leave nobody waiting."""
        try:
            work()
        except Exception as exc:  # noqa: BLE001 - see above; the caller is told nothing of the inside
            _LOG.exception("serving_failed model=%s error=%s", self.settings.model, type(exc).__name__)
            for entry in batch:
                entry.end(RefusedError(500, "internal", "the gateway failed; its log says how"))

    def _serve(self, batch: Sequence[Entry]) -> None:
        route = self.switch.route
        if route is None:
            for entry in batch:
                entry.end(RefusedError(503, "no_model", _NO_MODEL))
            return
        if not route.contests and not self.settings.log_only:  # as nearly always: nobody else is asked, or has answered
            self._answer(route, batch)
            self._record(route, [entry for entry in batch if not entry.ended])
            return
        for entry in batch:
            self._ask(route, entry)
        self._answer(route, [entry for entry in batch if entry.logged is None])
        ready: list[Entry] = []
        for entry in batch:
            if entry.ended:
                continue
            awaited = [] if route.stage is Stage.SHADOW else [each.asked for each in entry.asks if each.pending]
            if not awaited:
                ready.append(entry)
                continue
            self._contested += 1
            for asked in awaited:
                if asked is not None:
                    asked.add_done_callback(partial(self._heard, route, entry))
        self._record(route, ready)

    def _ask(self, route: Route, entry: Entry) -> None:
        """Name the rows, and ask the challengers for those that are their own."""
        rows, model, logged = entry.rows, self.settings.model, entry.logged
        entry.ids = self._ids(rows)
        if logged is not None:
            entry.answers, problem = logged.answers, stranger(route, logged)
            if problem is not None:
                entry.end(problem)
        if route.contests and (logged is None or logged.is_of(route.champion.version)):
            entry.asks = asks_for(route, model, rows, entry.ids, entry.started)

    def _ids(self, rows: Sequence[RequestRow]) -> Sequence[str]:
        model, draw = self.settings.model, self._draw
        return [prediction_id(row.at, model, row.asked, draw=draw) for row in rows]

    def _answer(self, route: Route, batch: Sequence[Entry]) -> None:
        """Put the champion's answers, or the fallback's, into the entries; end those that nobody can answer."""
        if len(batch) > 1 and not route.guard.tripped:
            rows = [row for entry in batch for row in entry.rows]
            started = time.perf_counter()
            said = call_version(route.champion, rows)
            if said.answers is not None:
                route.guard.answered(len(rows), time.perf_counter() - started)
                at = 0
                for entry in batch:
                    entry.answers = said.answers[at : at + len(entry.rows)]
                    at += len(entry.rows)
                return
        for entry in batch:
            try:
                entry.answers, entry.failure = self._answers(route, entry.rows)
            except RefusedError as exc:
                entry.end(exc)

    def _answers(self, route: Route, rows: Sequence[RequestRow]) -> tuple[Sequence[Answer], str]:
        """Return the champion's answers; or the fallback's, and what the champion did."""
        guard, fallback = route.guard, route.fallback
        instead = Said()
        if fallback is not None and guard.tripped:
            instead = call_version(fallback, rows)
            if instead.answers is not None:
                return instead.answers, "champion tripped"
        started = time.perf_counter()
        said = call_version(route.champion, rows)
        if said.answers is not None:
            guard.answered(len(rows), time.perf_counter() - started)
            return said.answers, ""
        self.counts["champion_failed"] += len(rows)
        if fallback is not None and not guard.tripped:
            instead = call_version(fallback, rows)
        self._tell(route.champion.version, said, rows)
        if instead.answers is None:
            guard.excused(len(rows), said.reason)
            raise RefusedError(500, "model_failed", f"version {route.champion.version} could not answer: {said.detail}")
        first = not guard.failed
        guard.missed(len(rows), said.reason)
        if first or guard.tripped:
            _LOG.error(
                "champion_failing model=%s version=%s fallback=%s problem=%s tripped=%s",
                self.settings.model, guard.version, "" if fallback is None else fallback.version, said.detail,
                guard.tripped,
            )  # fmt: skip
        return instead.answers, f"champion {said.reason}"

    def _tell(self, version: str, said: Said, rows: Sequence[RequestRow]) -> None:
        """Log the first failure of each kind of a version, again when it serves again after another."""
        if version != self._told:
            self._told, self._first = version, FirstOfKind()
        if self._first(said.reason, "" if said.raised is None else said.detail):
            told = said.detail if said.raised is None else describe_failure(said.raised, [each.values for each in rows])
            _LOG.error(
                "version_failed model=%s version=%s reason=%s problem=%s",
                self.settings.model, version, said.reason, told,
            )  # fmt: skip

    def _heard(self, route: Route, entry: Entry, _: Asked) -> None:
        """Go on with a request that waited for challengers, once the last has been heard."""
        if entry.heard or any(each.pending for each in entry.asks):
            return
        entry.heard = True
        self._contested -= 1
        self._guarded([entry], lambda: self._record(route, [entry]))

    def _record(self, route: Route, batch: Sequence[Entry]) -> None:
        """Bring what was answered to disk; only then is anyone told."""
        records: list[Prediction] = []
        now, clock = self.now(), time.perf_counter()
        for entry in batch:
            took_us = int((clock - entry.started) * 1e6)
            predictions = self._predictions(route, entry, now, took_us)
            if entry.logged is not None:
                predictions = as_logged(predictions, route, entry.logged)
            entry.predictions = predictions
            records += predictions
        if records:
            self.commit.enter(
                records, partial(self._settle, route, batch, len(records)), partial(self._prepare, route, batch)
            )

    def _predictions(self, route: Route, entry: Entry, now: datetime, took_us: int) -> Sequence[Prediction]:
        model, rows = self.settings.model, entry.rows
        if not entry.ids:
            entry.ids = self._ids(rows)
        if not entry.failure and not entry.asks:  # as nearly all are
            return answered_plainly(route, zip(rows, entry.ids, entry.answers, strict=True), model, now, took_us)
        # a shadow that has not answered yet follows its predictions
        entry.pending = any(each.pending for each in entry.asks) and not entry.failure
        answered = Round(
            route=route,
            rows=rows,
            ids=entry.ids,
            answers=entry.answers,
            failure=entry.failure,
            voices=[Voice(version=each.version, chosen=each.chosen, said=each.said()) for each in entry.asks],
        )
        return answered.predictions(model, now, took_us)

    def _prepare(self, route: Route, batch: Sequence[Entry]) -> None:
        """Have ready what to say when the records are on disk; a defect in it is seen to when it is to be said."""
        with suppress(Exception):
            for entry in batch:
                entry.prepare(route)

    def _settle(self, route: Route, batch: Sequence[Entry], records: int, problem: BaseException | None) -> None:
        self._guarded(batch, lambda: self._acknowledge(route, batch, records, problem))

    def _acknowledge(self, route: Route, batch: Sequence[Entry], records: int, problem: BaseException | None) -> None:
        """Tell those whose predictions, `records` in all, are on disk; the others what the policy says."""
        refusal = self._counted(records, "predictions", problem)
        for entry in batch:
            if refusal is not None:
                entry.end(refusal)
                continue
            if entry.failure or route.contests:
                self.counts["fallbacks"] += sum(each.arm == "fallback" for each in entry.predictions)
            if entry.pending:
                self._follow(entry)
            entry.end(entry.prepare(route))

    def _follow(self, entry: Entry) -> None:
        """Have the answers of shadows that have not answered yet sent after their predictions."""
        for each in entry.asks:
            if each.asked is not None:
                each.asked.add_done_callback(partial(self._complete, [entry.ids[i] for i in each.chosen]))

    def _complete(self, ids: Sequence[str], asked: Asked) -> None:
        """Send a shadow's answers after their predictions."""
        if asked.cancelled():
            return
        problem = asked.exception()
        if problem is None:
            answers = asked.result()
            self.commit.later([ShadowAnswer(prediction=i, answer=a) for i, a in zip(ids, answers, strict=True)])
        else:
            self.commit.later([ShadowAnswer(prediction=i, answer=None, problem=str(problem)) for i in ids])

    async def _keep(self, records: Sequence[Label | FeedbackEvent], name: str) -> None:
        problem: UnavailableError | None = None
        try:
            await self.commit.append(records)
        except UnavailableError as exc:
            problem = exc
        refusal = self._counted(len(records), name, problem)
        if refusal is not None:
            raise refusal from problem

    def _counted(self, records: int, name: str, problem: BaseException | None) -> RefusedError | None:
        """Count what a commit came to, and return what to refuse its callers with, None to acknowledge."""
        if problem is None:
            self.counts[name] += records
            return None
        if not isinstance(problem, UnavailableError):
            raise problem
        if self.settings.on_full is OnFull.FAIL:
            self.counts["refused_by_journal"] += records
            message = "the journal cannot take it now, so it counts as not answered; try again later"
            return RefusedError(503, "journal_unavailable", message)
        self.counts["dropped"] += records
        return None


def _as_answered(answered: Answered) -> Answered:
    return answered
