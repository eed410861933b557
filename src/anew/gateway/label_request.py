"""Reads the bodies of ``/labels``."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from anew.domain.observation import Label
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import EventClock, GatewaySettings
from anew.gateway.strict_json import check_text, decode, instant, latest

__all__ = ["LabelParser"]

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_PREDICTION: Final = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
_DELIVERY: Final = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class LabelParser:
    """Turns a body into labels of one model. Immutable, thread-safe."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        text = Annotated[str, msgspec.Meta(max_length=settings.most_string)]
        label = msgspec.defstruct(
            "Label",
            [
                ("prediction", _PREDICTION),
                ("value", _INTEGER | float | text),
                ("at", text, msgspec.UNSET),
                ("id", _DELIVERY, msgspec.UNSET),
                ("source", Annotated[str, msgspec.Meta(min_length=1, max_length=200)], msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
            kw_only=True,
        )
        labels = Annotated[list[label], msgspec.Meta(min_length=1, max_length=settings.most_rows)]  # type: ignore[valid-type] # made at run time
        body = msgspec.defstruct("Body", [("labels", labels)], forbid_unknown_fields=True)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def parse(self, body: bytes, now: datetime) -> Sequence[Label]:
        """Return the labels of `body`; everything wrong with it is a RefusedError that names the field."""
        request = decode(self._decoder, body, _count)
        limit = latest(now, self._settings.future_skew_s)
        return [self._label(entry, f"labels[{i}]", now, limit) for i, entry in enumerate(request.labels)]

    def _label(self, entry: Any, path: str, now: datetime, limit: datetime) -> Label:
        timed = entry.at is not msgspec.UNSET
        if not timed and self._settings.clock is EventClock.DATA:
            raise RefusedError(422, "invalid", "this model's event time comes with the data: give `at`", f"{path}.at")
        at = instant(entry.at, limit, f"{path}.at") if timed else now
        source = "api" if entry.source is msgspec.UNSET else entry.source
        check_text(source, f"{path}.source")
        value = self._value(entry.value, f"{path}.value")
        id = entry.id
        if id is msgspec.UNSET:
            # A timed label that is sent again is the same delivery; an untimed one is a new word on the prediction.
            said = f"{entry.prediction} {value!r} {at.isoformat()} {source}"
            id = hashlib.sha256(said.encode()).hexdigest()[:32] if timed else secrets.token_hex(16)
        return Label(
            id=id,
            model=self._settings.model,
            prediction=entry.prediction,
            at=at,
            received_at=now,
            value=value,
            source=source,
        )

    def _value(self, value: float | str, path: str) -> float | int | str:
        columns = self._settings.columns
        if not columns.task.classifies:
            if isinstance(value, str):
                raise RefusedError(422, "invalid", "the label of a regression is a number, found a string", path)
            return float(value)
        for known in columns.classes:
            if known == value and isinstance(known, str) == isinstance(value, str):
                return known
        raise RefusedError(
            422, "unknown_class", f"{str(value)[:40]!r} is none of the classes {list(columns.classes)}", path
        )


def _count(request: Any) -> int:
    """Count the colons of a body without a key twice; see `decode`."""
    total = 1
    for entry in request.labels:
        cells = msgspec.structs.astuple(entry)
        total += sum(1 for cell in cells if cell is not msgspec.UNSET)
        total += sum(cell.count(":") for cell in cells if isinstance(cell, str))
    return total
