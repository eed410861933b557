"""What one request came to, as the predictions that the record keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from anew.domain.facts.rollout import Stage
from anew.domain.observation import Answer, Prediction
from anew.gateway.routing import Route
from anew.gateway.row import RequestRow

__all__ = ["Outcome", "Round", "answered_plainly"]


def answered_plainly(
    route: Route, rows: Sequence[RequestRow], told: tuple[Sequence[str], Sequence[Answer]], *, model: str,
    now: datetime, took_us: int,
) -> list[Prediction]:  # fmt: skip
    """Return the predictions of rows that the champion answered; `told` are their ids and its answers."""
    champion, epoch = route.champion.version, route.epoch
    return [
        Prediction(
            id=id,
            model=model,
            at=row.at,
            received_at=now,
            key=row.key or id,
            row=row.values,
            version=champion,
            arm="champion",
            answer=answer,
            epoch=epoch,
            latency_us=took_us,
            extra=row.extra,
        )
        for row, id, answer in zip(rows, *told, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the challenger said to its rows: answers, or the reason why there are none, or nothing yet."""

    answers: Sequence[Answer] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Rows answered under one route.

    Attributes
    ----------
    answers
        The champion's to all rows; or the fallback's, when `failure` says what the champion did.
    chosen
        Indices of the rows that the challenger was to answer.
    challenger
        What it said to these.
    """

    route: Route
    rows: Sequence[RequestRow]
    ids: Sequence[str]
    answers: Sequence[Answer]
    failure: str = ""
    chosen: Sequence[int] = ()
    challenger: Outcome = Outcome()

    def predictions(self, model: str, now: datetime, took_us: int) -> Sequence[Prediction]:
        """Return one prediction for each row."""
        told = self.ids, self.answers
        plain = answered_plainly(self.route, self.rows, told, model=model, now=now, took_us=took_us)
        if not (self.chosen or self.failure):
            return plain
        places = {row: place for place, row in enumerate(self.chosen)}
        return [self._as_told(prediction, i, places.get(i)) for i, prediction in enumerate(plain)]

    def _as_told(self, prediction: Prediction, i: int, place: int | None) -> Prediction:
        """Return the prediction with who answered it, and what is known of the other model."""
        told = self._base(i)
        if place is not None and self.route.contest is not None:
            said = None if self.challenger.answers is None else self.challenger.answers[place]
            told = self._contested(told, self.route.contest.challenger.version, said)
        return replace(
            prediction,
            version=told.version,
            arm=told.arm,
            answer=told.answer,
            shadow_version=told.shadow_version,
            shadow=told.shadow,
            shadow_problem=told.problem,
        )

    def _base(self, i: int) -> "_Told":
        """Return what is told of a row that no challenger was asked for."""
        champion, fallback = self.route.champion.version, self.route.fallback
        if not self.failure or fallback is None:
            return _Told(version=champion, arm="champion", answer=self.answers[i])
        return _Told(
            version=fallback.version,
            arm="fallback",
            answer=self.answers[i],
            shadow_version=champion,
            problem=self.failure,
        )

    def _contested(self, base: "_Told", challenger: str, said: Answer | None) -> "_Told":
        """Return what is told of a row that `challenger` was asked for, too, and to which it `said` this."""
        canary, problem = self.route.stage is Stage.CANARY, self.challenger.problem
        if canary and said is not None:
            shadow = None if self.failure else base.answer
            champion = self.route.champion.version
            return _Told(
                version=challenger,
                arm="challenger",
                answer=said,
                shadow_version=champion,
                shadow=shadow,
                problem=self.failure,
            )
        if self.failure:
            # the pair is lost: who is to be compared said nothing
            return replace(base, problem=f"{self.failure}, challenger {problem}") if canary else base
        arm = "fallback" if canary else base.arm
        return replace(base, arm=arm, shadow_version=challenger, shadow=said, problem=problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """Who answered one row, and what is known of the other model."""

    version: str
    arm: str
    answer: Answer
    shadow_version: str = ""
    shadow: Answer | None = None
    problem: str = ""
