"""JSON read strictly: every deviation is a RefusedError with the path of the field."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import msgspec

from anew.gateway.refusal import RefusedError

__all__ = ["EARLIEST", "check_text", "decode", "instant", "latest"]

T = TypeVar("T")

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""An event time before this one is refused: it would be a number in another unit, or a mistake."""

_INSTANT: Final = Annotated[datetime, msgspec.Meta(tz=True)]
_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FIELD: Final = re.compile(r"(?:missing required|unknown) field `(.*)`$", re.DOTALL)


def decode(decoder: msgspec.json.Decoder[T], body: bytes, colons: Callable[[T], int]) -> T:
    """Decode `body`, refusing what JSON or the decoder's type does not allow, and any key that comes twice.

    Parameters
    ----------
    colons
        Counts the colons that the value has when written without escapes, one for each key and those within strings.
        A body with as many has no key twice; only another is searched, by a slower reader.
    """
    try:
        value = decoder.decode(body)
    except msgspec.ValidationError as exc:
        raise _invalid(str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        found = _search(body)
        if found is not None:
            raise found from exc
        raise RefusedError(400, "malformed", f"the body is not JSON: {_reason(exc)}") from exc
    if body.count(b":") != colons(value) or b"\\u003" in body:
        found = _search(body)
        if found is not None:
            raise found
    return value


def instant(text: str, latest: datetime, path: str) -> datetime:
    """Read an instant with its zone, not before EARLIEST and not after `latest`."""
    try:
        at: datetime = msgspec.convert(text, _INSTANT)
        at = at.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError) as exc:
        raise RefusedError(
            422, "invalid", f"{text[:40]!r} is no instant with a zone; write it like 2026-01-31T12:00:00Z", path
        ) from exc
    if not EARLIEST <= at <= latest:
        raise RefusedError(
            422,
            "out_of_time",
            f"{at.isoformat()} lies before 1970 or after {latest.isoformat()}, the latest allowed",
            path,
        )
    return at


def check_text(text: str, path: str) -> None:
    """Refuse the one character that stores and terminals stumble over: NUL."""
    if "\x00" in text:
        raise RefusedError(422, "invalid", "the text contains a NUL character; remove it", path)


def latest(now: datetime, skew_s: float) -> datetime:
    """Return the latest event time that is accepted at `now`."""
    return now + timedelta(seconds=skew_s)


def _reason(exc: Exception) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return f"it is not UTF-8 ({exc.reason})"
    return "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)


def _invalid(message: str) -> RefusedError:
    place = _PLACE.search(message)
    path = place[1] if place else ""
    said = message[: place.start()] if place else message
    field = _FIELD.search(said)
    if field:
        path = f"{path}.{field[1]}" if path else field[1]
    return RefusedError(422, "invalid", said, path)


@dataclass(frozen=True, slots=True)
class _Twice:
    key: str


@dataclass(frozen=True, slots=True)
class _Constant:
    text: str


def _search(body: bytes) -> RefusedError | None:
    """Find the first key that comes twice, number that JSON does not have, or text that is no Unicode; else None."""
    try:
        value = json.loads(
            body,
            object_pairs_hook=_object,
            parse_constant=_Constant,
            parse_int=lambda _: 0,
            parse_float=lambda _: 0.0,
        )
    except (ValueError, RecursionError):
        return None
    return _walk(value, "")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    known: dict[str, Any] = {}
    for key, value in pairs:
        if _SURROGATE.search(key):
            return key  # is refused in the place of the object, for the text that it is
        if key in known:
            return _Twice(key)
        known[key] = value
    return known


def _walk(value: Any, path: str) -> RefusedError | None:
    if isinstance(value, _Twice):
        return RefusedError(
            422, "duplicate_key", f"the key {value.key!r} comes twice in one object", _join(path, value.key)
        )
    if isinstance(value, _Constant):
        return RefusedError(422, "invalid", f"{value.text} is not a number that JSON has; send null for missing", path)
    if isinstance(value, str) and (half := _SURROGATE.search(value)) is not None:
        said = f"the text is no Unicode: \\u{ord(half[0]):x} is one half of a surrogate pair"
        return RefusedError(400, "malformed", said, path)
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(_join(path, key), child) for key, child in value.items()]
    elif isinstance(value, list):
        items = [(f"{path}[{i}]", child) for i, child in enumerate(value)]
    for place, child in items:
        if (found := _walk(child, place)) is not None:
            return found
    return None


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
