"""Which rows of a request challengers are to answer, and what they said."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from anew.domain.facts.rollout import Stage
from anew.domain.observation import Answer
from anew.gateway.challenger import ChallengerError
from anew.gateway.routing import Contest, Route
from anew.gateway.row import RequestRow
from anew.gateway.version_call import cells_for
from anew.rollout import position

__all__ = ["Ask", "Asked", "Outcome", "asks_for"]

Asked = asyncio.Future[Sequence[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a challenger said to its rows: answers, or the reason why there are none, or nothing yet."""

    answers: Sequence[Answer] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A challenger and the indices of the rows of one request that are its own; asked, unless it has tripped."""

    contest: Contest
    chosen: Sequence[int]
    asked: Asked | None

    @property
    def version(self) -> str:
        """Whom it is for."""
        return self.contest.challenger.version

    @property
    def pending(self) -> bool:
        """Is it still to be heard of?"""
        return self.asked is not None and not self.asked.done()

    def said(self) -> Outcome:
        """Return what was said so far."""
        if self.asked is None:
            return Outcome(problem="tripped")
        if not self.asked.done():
            return Outcome()
        problem = self.asked.exception()
        if problem is None:
            return Outcome(answers=self.asked.result())
        if isinstance(problem, ChallengerError):
            return Outcome(problem=str(problem))
        raise problem


def asks_for(route: Route, model: str, rows: Sequence[RequestRow], ids: Sequence[str], started: float) -> Sequence[Ask]:
    """Ask every challenger for the rows that are its own: all in shadow, else those of its keys."""
    return [
        Ask(contest, chosen, _asked(contest, rows, chosen, started))
        for contest, chosen in _chosen(route, model, rows, ids)
        if chosen
    ]


def _chosen(
    route: Route, model: str, rows: Sequence[RequestRow], ids: Sequence[str]
) -> Sequence[tuple[Contest, Sequence[int]]]:
    if route.stage is Stage.SHADOW:
        return [(contest, range(len(rows))) for contest in route.contests]
    salt = route.trial or route.contests[0].challenger.version
    places = [position(model, salt, row.key or id) for row, id in zip(rows, ids, strict=True)]
    return [
        (contest, [i for i, place in enumerate(places) if contest.arm.answers(place)]) for contest in route.contests
    ]


def _asked(contest: Contest, rows: Sequence[RequestRow], chosen: Sequence[int], started: float) -> Asked | None:
    if contest.guard.tripped:
        return None
    asked = contest.challenger.ask(cells_for([rows[i] for i in chosen], contest.challenger.columns.names))
    asked.add_done_callback(partial(_watch, contest, len(chosen), started))
    return asked


def _watch(contest: Contest, rows: int, started: float, asked: Asked) -> None:
    if asked.cancelled():
        return
    problem = asked.exception()
    if problem is None:
        contest.guard.answered(rows, time.perf_counter() - started)
    else:
        contest.guard.missed(rows, str(problem))
