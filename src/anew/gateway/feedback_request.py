"""Reads the bodies of ``/feedback``: what happened after an answer, and what whoever got it thinks of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from anew.domain.column import out_of_reach
from anew.domain.observation import FeedbackEvent, Label
from anew.gateway.label_request import DELIVERY, PREDICTION, arrival, delivery_id, known_value, said_by
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import EventClock, GatewaySettings
from anew.gateway.signed import Signed
from anew.gateway.strict_json import decode, instant, latest

__all__ = ["THUMB", "FeedbackParser"]

THUMB: Final = "thumb"
"""The event that a thumb becomes: of the value 1, up, or 0, down."""

_NUMBER: Final = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | float
_SAYS: Final = ("event", "thumb", "correction")
_COUNTED: Final = (*_SAYS, "prediction", "value", "at", "id", "source")


class FeedbackParser:
    """Turns a body into events and labels of one model. Immutable, thread-safe.

    An entry says one of three things of its `prediction`: an `event` that the project declares, with a `value` (1
    unless told); a `thumb`, up or down; a `correction`, which is a label of the source ``user``.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        text = Annotated[str, msgspec.Meta(max_length=settings.most_string)]
        whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
        entry = msgspec.defstruct(
            "Feedback",
            [
                ("prediction", PREDICTION),
                ("event", text, msgspec.UNSET),
                ("value", _NUMBER, msgspec.UNSET),
                ("thumb", Literal["up", "down"], msgspec.UNSET),
                ("correction", whole | float | text, msgspec.UNSET),
                ("at", text, msgspec.UNSET),
                ("id", DELIVERY, msgspec.UNSET),
                ("source", Annotated[str, msgspec.Meta(min_length=1, max_length=200)], msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
            kw_only=True,
        )
        entries = Annotated[list[entry], msgspec.Meta(min_length=1, max_length=settings.most_rows)]  # type: ignore[valid-type] # made at run time
        body = msgspec.defstruct("Body", [("feedback", entries)], forbid_unknown_fields=True)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def parse(self, body: bytes, now: datetime, signed: Signed | None = None) -> Sequence[FeedbackEvent | Label]:
        """Return what `body` says; everything wrong with it is a RefusedError that names the field.

        Parameters
        ----------
        signed
            Who signed it; None where a token, or nothing, was asked for.
        """
        request = decode(self._decoder, body, _count)
        limit = latest(now, self._settings.future_skew_s)
        return [self._read(entry, i, now, limit, signed) for i, entry in enumerate(request.feedback)]

    def _read(
        self, entry: Any, place: int, now: datetime, limit: datetime, signed: Signed | None
    ) -> FeedbackEvent | Label:
        path = f"feedback[{place}]"
        said = [name for name in _SAYS if getattr(entry, name) is not msgspec.UNSET]
        if len(said) != 1:
            raise RefusedError(422, "invalid", f"give exactly one of {', '.join(_SAYS)}", path)
        if entry.value is not msgspec.UNSET and said != ["event"]:
            raise RefusedError(422, "invalid", f"a {said[0]} has no value beside it", f"{path}.value")
        timed = entry.at is not msgspec.UNSET
        if not timed and self._settings.clock is EventClock.DATA:
            raise RefusedError(422, "invalid", "this model's event time comes with the data: give `at`", f"{path}.at")
        at = instant(entry.at, limit, f"{path}.at") if timed else now
        source = said_by(entry.source, "user", signed, self._settings, f"{path}.source")
        what, value = self._said(said[0], entry, path)
        told = f"{entry.prediction} {what} {value!r} {at.isoformat()} {source}"
        id = delivery_id(entry.id, told, path, timed=timed, signed=signed)
        common = {"id": id, "model": self._settings.model, "prediction": entry.prediction, "source": source}
        common |= {"at": at, "received_at": arrival(now, place)}
        if not what:
            return Label(**common, value=value)
        return FeedbackEvent(**common, event=what, value=float(value))

    def _said(self, kind: str, entry: Any, path: str) -> tuple[str, float | int | str]:
        """Return the event, empty for a correction, and its value."""
        if kind == "correction":
            return "", known_value(entry.correction, self._settings.columns, f"{path}.correction")
        if kind == "thumb":
            return THUMB, float(entry.thumb == "up")
        known = self._settings.events
        if entry.event not in known:
            hint = f"declared are {', '.join(known)}" if known else "none is declared"
            raise RefusedError(
                422, "unknown_event", f"{entry.event[:40]!r} is no event of the project; {hint}", f"{path}.event"
            )
        value = 1.0 if entry.value is msgspec.UNSET else entry.value
        if problem := out_of_reach(value):
            raise RefusedError(422, "invalid", problem, f"{path}.value")
        return entry.event, value


def _count(request: Any) -> int:
    """Count the colons of a body without a key twice; see `decode`."""
    total = 1
    for entry in request.feedback:
        cells = [getattr(entry, name) for name in _COUNTED]
        total += sum(1 for cell in cells if cell is not msgspec.UNSET)
        total += sum(cell.count(":") for cell in cells if isinstance(cell, str))
    return total
