"""Reads the bodies of ``/log``: requests that another server has answered, with what it said."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from anew.domain.observation import Answer, Prediction
from anew.gateway.label_request import known_value
from anew.gateway.refusal import RefusedError
from anew.gateway.request import PredictParser
from anew.gateway.routing import Route
from anew.gateway.row import RequestRow, digest
from anew.gateway.sanity import nonsense
from anew.gateway.settings import GatewaySettings
from anew.gateway.strict_json import decode

__all__ = ["Logged", "LoggedParser", "as_logged", "stranger"]

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What another server said to the rows of one request, and the version by which it did; empty: the champion."""

    answers: Sequence[Answer]
    version: str = ""

    def is_of(self, version: str) -> bool:
        """Did this version answer?"""
        return self.version in ("", version)


class LoggedParser:
    """Turns a body into rows and answers, for the columns of one model. Immutable, thread-safe.

    ``asked`` is what ``/predict`` takes, ``answers`` what was said to each of its rows.
    """

    def __init__(self, settings: GatewaySettings, rows: PredictParser) -> None:
        self._columns = settings.columns
        self._rows = rows
        text = Annotated[str, msgspec.Meta(max_length=settings.most_string)]
        answer = msgspec.defstruct(
            "LoggedAnswer",
            [("output", _INTEGER | float | text), ("proba", list[float] | None, msgspec.UNSET)],
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        answers = Annotated[list[answer], msgspec.Meta(min_length=1, max_length=settings.most_rows)]  # type: ignore[valid-type] # made at run time
        version = Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,9}$")]
        body = msgspec.defstruct(
            "LoggedBody",
            [("asked", msgspec.Raw), ("answers", answers), ("version", version, msgspec.UNSET)],
            forbid_unknown_fields=True,
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def parse(self, body: bytes, now: datetime) -> tuple[Sequence[RequestRow], Logged]:
        """Return rows and answers of `body`; everything wrong with it is a RefusedError that names the field."""
        said = decode(self._decoder, body, _count)
        rows = self._rows.parse(bytes(said.asked), now)
        answers = [
            Answer(
                output=known_value(each.output, self._columns, f"answers[{i}].output"),
                proba=None if each.proba in (msgspec.UNSET, None) else tuple(each.proba),
            )
            for i, each in enumerate(said.answers)
        ]
        problem = nonsense(answers, len(rows), self._columns)
        if problem:
            raise RefusedError(422, "invalid", problem, "answers")
        logged = Logged(answers=answers, version="" if said.version is msgspec.UNSET else said.version)
        return [_under(row, answer, logged.version) for row, answer in zip(rows, answers, strict=True)], logged


def _under(row: RequestRow, answer: Answer, version: str) -> RequestRow:
    """Return a row that is another one where something else was said to it under its id."""
    if not row.client_id:
        return row
    return msgspec.structs.replace(row, asked=digest(row.asked, answer.output, answer.proba, version))


def _count(said: Any) -> int:
    """Count the colons of a body without a key twice; see `decode`."""
    total = 2 + bytes(said.asked).count(b":") + (said.version is not msgspec.UNSET)
    for each in said.answers:
        total += 1 + (each.proba is not msgspec.UNSET)
        total += each.output.count(":") if isinstance(each.output, str) else 0
    return total


def stranger(route: Route, logged: Logged) -> RefusedError | None:
    """Return what to say when the answers are of a version that serves neither by right nor as the fallback."""
    known = [route.champion.version, *([route.fallback.version] if route.fallback else [])]
    if not logged.version or logged.version in known:
        return None
    said = f"{logged.version} is not what answers now; that is one of {', '.join(known)}"
    return RefusedError(409, "version", said, "version")


def as_logged(predictions: Sequence[Prediction], route: Route, logged: Logged) -> Sequence[Prediction]:
    """Return predictions as of the version that made them: another server may not have changed over yet."""
    if logged.is_of(route.champion.version):
        return predictions
    return [replace(each, version=logged.version, arm="fallback") for each in predictions]
