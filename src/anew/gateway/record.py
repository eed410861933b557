"""What one request came to, as the predictions that the record keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from anew.domain.facts.rollout import Stage
from anew.domain.observation import Answer, Prediction
from anew.gateway.request import RequestRow
from anew.gateway.routing import Route

__all__ = ["Outcome", "Round"]


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
    champion
        Its answers to all rows.
    chosen
        Indices of the rows that the challenger was to answer.
    challenger
        What it said to these.
    """

    route: Route
    rows: Sequence[RequestRow]
    ids: Sequence[str]
    champion: Sequence[Answer]
    chosen: Sequence[int] = ()
    challenger: Outcome = Outcome()

    def predictions(self, model: str, now: datetime, took_us: int) -> Sequence[Prediction]:
        """Return one prediction for each row."""
        places = {row: place for place, row in enumerate(self.chosen)}
        return [self._prediction(model, i, places.get(i), (now, took_us)) for i in range(len(self.rows))]

    def _prediction(self, model: str, i: int, place: int | None, stamp: tuple[datetime, int]) -> Prediction:
        row, answer, route = self.rows[i], self.champion[i], self.route
        version, arm = route.champion.version, "champion"
        shadow_version, shadow, problem = "", None, ""
        if place is not None and route.contest is not None:
            said = self.challenger
            shadow_version, problem = route.contest.challenger.version, said.problem
            shadow = None if said.answers is None else said.answers[place]
            if route.stage is Stage.CANARY and shadow is None:
                arm = "fallback"
            elif route.stage is Stage.CANARY and shadow is not None:
                version, arm, shadow_version = shadow_version, "challenger", version
                answer, shadow = shadow, answer
        return Prediction(
            id=self.ids[i],
            model=model,
            at=row.at,
            received_at=stamp[0],
            key=row.key or self.ids[i],
            row=row.values,
            version=version,
            arm=arm,
            answer=answer,
            epoch=route.epoch,
            latency_us=stamp[1],
            shadow_version=shadow_version,
            shadow=shadow,
            shadow_problem=problem,
            extra=row.extra,
        )
