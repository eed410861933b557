"""Reads the bodies of ``/labels``."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from anew.domain.column import Columns, out_of_reach
from anew.domain.observation import IMPLIED, IMPORTED, REVIEWED, Label
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import EventClock, GatewaySettings
from anew.gateway.signed import Signed
from anew.gateway.strict_json import check_text, decode, instant, latest

__all__ = ["DELIVERY", "PREDICTION", "LabelParser", "arrival", "delivery_id", "known_value", "said_by"]

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_MICRO: Final = timedelta(microseconds=1)
_OURS: Final = {
    REVIEWED: "what people say in the review queue",
    IMPLIED: "what follows from events (feedback.implicit)",
    IMPORTED: "what an imported file says",
}
PREDICTION: Final = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
DELIVERY: Final = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class LabelParser:
    """Turns a body into labels of one model. Immutable, thread-safe.

    An entry has either a `value` or ``withdraw: true``, which takes back what its source said. Whether its prediction
    is known is never looked up: labels may come first, and nobody can find out which ids there are.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        text = Annotated[str, msgspec.Meta(max_length=settings.most_string)]
        label = msgspec.defstruct(
            "Label",
            [
                ("prediction", PREDICTION),
                ("value", _INTEGER | float | text, msgspec.UNSET),
                ("withdraw", bool, msgspec.UNSET),
                ("revision", Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)], 0),
                ("at", text, msgspec.UNSET),
                ("id", DELIVERY, msgspec.UNSET),
                ("source", Annotated[str, msgspec.Meta(min_length=1, max_length=200)], msgspec.UNSET),
            ],
            forbid_unknown_fields=True,
            kw_only=True,
        )
        labels = Annotated[list[label], msgspec.Meta(min_length=1, max_length=settings.most_rows)]  # type: ignore[valid-type] # made at run time
        body = msgspec.defstruct("Body", [("labels", labels)], forbid_unknown_fields=True)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)

    def parse(self, body: bytes, now: datetime, signed: Signed | None = None) -> Sequence[Label]:
        """Return the labels of `body`; everything wrong with it is a RefusedError that names the field.

        Parameters
        ----------
        signed
            Who signed it; None where a token, or nothing, was asked for.
        """
        request = decode(self._decoder, body, _count)
        limit = latest(now, self._settings.future_skew_s)
        return [self._label(entry, i, now, limit, signed) for i, entry in enumerate(request.labels)]

    def _label(self, entry: Any, place: int, now: datetime, limit: datetime, signed: Signed | None) -> Label:
        path = f"labels[{place}]"
        timed = entry.at is not msgspec.UNSET
        if not timed and self._settings.clock is EventClock.DATA:
            raise RefusedError(422, "invalid", "this model's event time comes with the data: give `at`", f"{path}.at")
        at = instant(entry.at, limit, f"{path}.at") if timed else now
        source = said_by(entry.source, "api", signed, self._settings, f"{path}.source")
        if source in _OURS:
            said = f"{source!r} is {_OURS[source]}; name another source"
            raise RefusedError(422, "invalid", said, f"{path}.source")
        value = self._value(entry, path)
        said = f"{entry.prediction} {value!r} {at.isoformat()} {source} {entry.revision}"
        return Label(
            id=delivery_id(entry.id, said, path, timed=timed, signed=signed),
            model=self._settings.model,
            prediction=entry.prediction,
            at=at,
            received_at=arrival(now, place),
            value=value,
            source=source,
            revision=entry.revision,
        )

    def _value(self, entry: Any, path: str) -> float | int | str | None:
        withdrawn = entry.withdraw is not msgspec.UNSET and entry.withdraw
        if withdrawn != (entry.value is msgspec.UNSET):
            raise RefusedError(422, "invalid", "give either a `value` or `withdraw`: true", f"{path}.value")
        return None if withdrawn else known_value(entry.value, self._settings.columns, f"{path}.value")


def arrival(now: datetime, place: int) -> datetime:
    """Return when the entry at `place` of a request arrived: of what is said twice in it, the later counts."""
    return now + place * _MICRO


def said_by(given: Any, usual: str, signed: Signed | None, settings: GatewaySettings, path: str) -> str:
    """Return whose word an entry is: who signed it; else the `given` source, UNSET for the `usual` one.

    Raises
    ------
    RefusedError
        It names another source than the one that signed it, or one that signs what it says and did not.
    """
    if signed is not None:
        if given is not msgspec.UNSET and given != signed.source:
            said = f"this is signed by {signed.source!r}, who speaks for itself alone; leave `source` out"
            raise RefusedError(422, "invalid", said, path)
        return signed.source
    source: str = usual if given is msgspec.UNSET else given
    check_text(source, path)
    if source in settings.signing:
        said = f"{source!r} signs what it says, and this is not signed: send it to /webhook/labels or /webhook/feedback"
        raise RefusedError(422, "unsigned", said, path)
    return source


def delivery_id(given: Any, said: str, path: str, *, timed: bool, signed: Signed | None) -> str:
    """Return under what id an entry counts once.

    Its own; else its place in a signed message, which comes again under one id. A timed entry that is sent again is the
    same delivery; an untimed one is a new word on its prediction.
    """
    if given is not msgspec.UNSET:
        return str(given)
    if signed is not None:
        said = f"{signed.id} {path}"
    elif not timed:
        return secrets.token_hex(16)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def known_value(value: float | str, columns: Columns, path: str) -> float | int | str:
    """Return a label as declared: the class that `value` is, or a number; raises RefusedError for what is neither."""
    if not columns.task.classifies:
        if isinstance(value, str):
            raise RefusedError(422, "invalid", "the label of a regression is a number, found a string", path)
        if problem := out_of_reach(value):
            raise RefusedError(422, "invalid", problem, path)
        return float(value)
    for known in columns.classes:
        if known == value and isinstance(known, str) == isinstance(value, str):
            return known
    said = repr(value[:40] if isinstance(value, str) else value)
    alike = next((repr(known) for known in columns.classes if str(known) == str(value)), "")
    hint = f": send {alike}" if alike else ""
    raise RefusedError(422, "unknown_class", f"{said} is none of the classes {list(columns.classes)}{hint}", path)


def _count(request: Any) -> int:
    """Count the colons of a body without a key twice; see `decode`. A revision of 0 may be left out: a search tells."""
    total = 1
    for entry in request.labels:
        cells = msgspec.structs.astuple(entry)
        total += sum(1 for cell in cells if cell is not msgspec.UNSET) - (entry.revision == 0)
        total += sum(cell.count(":") for cell in cells if isinstance(cell, str))
    return total
