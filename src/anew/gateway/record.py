"""What one request came to, as the predictions that the record keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from anew.domain.facts.rollout import Stage
from anew.domain.observation import Answer, Prediction
from anew.gateway.ask import Outcome
from anew.gateway.routing import Route
from anew.gateway.row import RequestRow

__all__ = ["Round", "Voice", "answered_plainly"]


def answered_plainly(
    route: Route, told: Iterable[tuple[RequestRow, str, Answer]], model: str, now: datetime, took_us: int
) -> list[Prediction]:
    """Return the predictions of rows that the champion answered; `told` are these, their ids and its answers."""
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
        for row, id, answer in told
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A challenger, the indices of the rows that it was to answer, and what it said to these."""

    version: str
    chosen: Sequence[int]
    said: Outcome = Outcome()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Rows answered under one route.

    Attributes
    ----------
    answers
        The champion's to all rows; or the fallback's, when `failure` says what the champion did.
    voices
        Of the challengers that were to answer some of the rows, each row by one.
    """

    route: Route
    rows: Sequence[RequestRow]
    ids: Sequence[str]
    answers: Sequence[Answer]
    failure: str = ""
    voices: Sequence[Voice] = ()

    def predictions(self, model: str, now: datetime, took_us: int) -> Sequence[Prediction]:
        """Return one prediction for each row."""
        told = zip(self.rows, self.ids, self.answers, strict=True)
        plain = answered_plainly(self.route, told, model, now, took_us)
        if not (self.voices or self.failure):
            return plain
        places = {row: (voice, place) for voice in self.voices for place, row in enumerate(voice.chosen)}
        return [self._as_told(prediction, i, *places.get(i, (None, 0))) for i, prediction in enumerate(plain)]

    def _as_told(self, prediction: Prediction, i: int, voice: Voice | None, place: int) -> Prediction:
        """Return the prediction with who answered it, and what is known of the other model."""
        told = self._base(i)
        if voice is not None:
            told = self._contested(told, voice, place)
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

    def _contested(self, base: "_Told", voice: Voice, place: int) -> "_Told":
        """Return what is told of a row that a challenger was asked for, too, the one at `place` among its own."""
        canary, problem = self.route.stage is not Stage.SHADOW, voice.said.problem
        challenger, answers = voice.version, voice.said.answers
        said = None if answers is None else answers[place]
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
