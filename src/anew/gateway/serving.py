"""Answers requests: champion and fallback in this process, the challenger in its own, the record before the answer."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from anew.domain.column import Value
from anew.domain.errors import UnavailableError
from anew.domain.facts.rollout import Stage
from anew.domain.observation import Answer, FeedbackEvent, Label, Prediction, ShadowAnswer
from anew.gateway.challenger import ChallengerError
from anew.gateway.commit import GroupCommit
from anew.gateway.identity import prediction_id
from anew.gateway.record import Outcome, Round
from anew.gateway.refusal import RefusedError
from anew.gateway.request import RequestRow
from anew.gateway.routing import Answerer, Contest, Route, Switch
from anew.gateway.sanity import nonsense
from anew.gateway.settings import GatewaySettings, OnFull
from anew.rollout import position

__all__ = ["Serving"]

_LOG = logging.getLogger("anew.gateway")
Asked = asyncio.Future[Sequence[Answer]]


@dataclass(slots=True)
class Serving:
    """Predicts and takes labels, on one event loop.

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

    async def predict(self, rows: Sequence[RequestRow]) -> tuple[Route, Sequence[Prediction]]:
        """Answer `rows` under one route and return when the answers are on disk.

        Raises
        ------
        RefusedError
            There is no champion (503); it and its fallback failed (500); or the journal takes nothing and the policy is
            to fail (503).
        """
        route = self.switch.route
        if route is None:
            raise RefusedError(503, "no_model", "no model is being served yet; wait for the first champion")
        started = time.perf_counter()
        ids = [prediction_id(row.at, self.settings.model, row.client_id) for row in rows]
        chosen = self._chosen(route, rows, ids)
        asked: Asked | None = None
        contest = route.contest
        if contest is not None and chosen and not contest.guard.tripped:
            asked = contest.challenger.ask(_cells([rows[i] for i in chosen], contest.challenger.columns.names))
            asked.add_done_callback(lambda done: _watch(contest, len(chosen), done, started))
        answers, failure = self._answers(route, rows)
        outcome = await self._outcome(route, asked)
        took = int((time.perf_counter() - started) * 1e6)
        answered = Round(
            route=route, rows=rows, ids=ids, answers=answers, failure=failure, chosen=chosen, challenger=outcome
        )
        predictions = answered.predictions(self.settings.model, self.now(), took)
        await self._keep(predictions, "predictions")
        self.counts["fallbacks"] += sum(prediction.arm == "fallback" for prediction in predictions)
        if asked is not None and outcome == Outcome() and not failure:
            asked.add_done_callback(lambda done: self._complete([ids[i] for i in chosen], done))
        return route, predictions

    async def take(self, said: Sequence[Label | FeedbackEvent]) -> None:
        """Return when labels and feedback are on disk; raises RefusedError as `predict` does."""
        labels = sum(isinstance(each, Label) for each in said)
        await self._keep(said, "labels" if labels == len(said) else "feedback")

    def _chosen(self, route: Route, rows: Sequence[RequestRow], ids: Sequence[str]) -> Sequence[int]:
        """Return the indices of the rows for the challenger: all in shadow, its share of keys in a canary."""
        if route.contest is None:
            return ()
        if route.stage is Stage.SHADOW:
            return range(len(rows))
        model, version = self.settings.model, route.contest.challenger.version
        keys = (row.key or id for row, id in zip(rows, ids, strict=True))
        return [i for i, key in enumerate(keys) if position(model, version, key) < route.share]

    def _answers(self, route: Route, rows: Sequence[RequestRow]) -> tuple[Sequence[Answer], str]:
        """Return the champion's answers; or the fallback's, and what the champion did."""
        guard, fallback = route.guard, route.fallback
        instead = _Said()
        if fallback is not None and guard.tripped:
            instead = _said(fallback, rows)
            if instead.answers is not None:
                return instead.answers, "champion tripped"
        started = time.perf_counter()
        said = _said(route.champion, rows)
        if said.answers is not None:
            guard.answered(len(rows), time.perf_counter() - started)
            return said.answers, ""
        self.counts["champion_failed"] += len(rows)
        if fallback is not None and not guard.tripped:
            instead = _said(fallback, rows)
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

    async def _outcome(self, route: Route, asked: Asked | None) -> Outcome:
        """Return what the challenger said: in a canary at the latest at the deadline, in shadow without waiting."""
        if asked is None:
            return Outcome(problem="tripped" if route.contest is not None else "")
        if route.stage is Stage.SHADOW and not asked.done():
            return Outcome()
        try:
            return Outcome(answers=await asked)
        except ChallengerError as exc:
            return Outcome(problem=str(exc))

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

    async def _keep(self, records: Sequence[Prediction | Label | FeedbackEvent], name: str) -> None:
        try:
            await self.commit.append(records)
        except UnavailableError as exc:
            if self.settings.on_full is OnFull.FAIL:
                self.counts["refused_by_journal"] += len(records)
                message = "the journal cannot take it now, so it counts as not answered; try again later"
                raise RefusedError(503, "journal_unavailable", message) from exc
            self.counts["dropped"] += len(records)
        else:
            self.counts[name] += len(records)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a version in this process said: answers, or the reason and the detail why there are none."""

    answers: Sequence[Answer] | None = None
    reason: str = ""
    detail: str = ""


def _said(version: Answerer, rows: Sequence[RequestRow]) -> _Said:
    try:
        answers = version.answer(_cells(rows, version.columns.names))
        problem = nonsense(answers, len(rows), version.columns)
    except Exception as exc:  # noqa: BLE001 - the user's code may raise anything; the caller gets one kind of answer
        return _Said(reason="error", detail=type(exc).__name__)
    return _Said(reason="nonsense", detail=problem) if problem else _Said(answers=answers)


def _cells(rows: Sequence[RequestRow], names: Sequence[str]) -> Sequence[Mapping[str, Value]]:
    """Return the features that a version was trained on; the usual case copies nothing."""
    if rows and tuple(rows[0].values) == tuple(names):
        return [row.values for row in rows]
    return [{name: row.values[name] for name in names} for row in rows]


def _watch(contest: Contest, rows: int, asked: Asked, started: float) -> None:
    if asked.cancelled():
        return
    problem = asked.exception()
    if problem is None:
        contest.guard.answered(rows, time.perf_counter() - started)
    else:
        contest.guard.missed(rows, str(problem))
