"""A typed client of a gateway: ask, label, and see whether it is ready."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from anew.domain.errors import AnewError, NotFoundError, PolicyError, SchemaError, UnavailableError
from anew.notebook.frame import ArrowFrame, rows_of

__all__ = ["Client", "Prediction"]

_BATCH = 1000
"""Rows in one request at the most; the gateway refuses more."""
_INDEX = re.compile(r"\[(\d+)\]")
_KINDS: Mapping[int, type[AnewError]] = {
    401: PolicyError,
    403: PolicyError,
    404: NotFoundError,
    413: SchemaError,
    422: SchemaError,
    429: UnavailableError,
    503: UnavailableError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One answer: `id` is what a label is given for, `version` who answered, `proba` in the order of the classes."""

    id: str
    version: str
    output: float | int | str
    proba: Sequence[float] | None = None


class Client:
    """Talks to a gateway over HTTP; to be closed, or used in a `with`.

    Parameters
    ----------
    url
        Where `anew up` serves, e.g. ``http://127.0.0.1:8080``; of a gateway of several models with ``/models/NAME``.
    token
        What `anew access create` gave, where the gateway asks for one.
    timeout_s
        How long to wait for an answer.
    """

    def __init__(self, url: str = "http://127.0.0.1:8080", token: str = "", *, timeout_s: float = 10.0) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, follow_redirects=False)
        self._url = url

    def __repr__(self) -> str:
        """Say whom it talks to, and no token."""
        return f"<anew client of {self._url}>"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def predict(self, rows: ArrowFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Prediction]:
        """Ask for one row, several, or all of a data frame, in batches; returns an answer for each, in order.

        Raises
        ------
        SchemaError
            A row is not as the project's columns are declared; the message names the field.
        PolicyError
            The token is missing, or may not.
        UnavailableError
            Nobody answers now; asking again may help.
        """
        if isinstance(rows, ArrowFrame):
            asked: Sequence[Mapping[str, Any]] = rows_of(rows)
        else:
            asked = [rows] if isinstance(rows, Mapping) else rows
        found = []
        for start in range(0, len(asked), _BATCH):
            body = self._send("/predict", {"rows": [_plain(row) for row in asked[start : start + _BATCH]]}, start)
            found += [_prediction(body, each) for each in body["predictions"]]
        return found

    def log(
        self,
        rows: Sequence[Mapping[str, Any]],
        outputs: Sequence[float | int | str],
        *,
        ids: Sequence[str] = (),
        version: str = "",
    ) -> list[Prediction]:
        """Tell a gateway that answers nobody what another server said to `rows`; returns what is on record, in order.

        `ids` are the other server's own, so that a repeat is the same request where the rows have their event time,
        too; `version` is the one that answered, where it is not the champion. Raises as `predict` does.
        """
        found = []
        for start in range(0, len(rows), _BATCH):
            end = start + _BATCH
            asked = {"rows": [_plain(row) for row in rows[start:end]]} | ({"ids": list(ids[start:end])} if ids else {})
            answers = [{"output": _value(each)} for each in outputs[start:end]]
            more = {"version": version} if version else {}
            body = self._send("/log", {"asked": asked, "answers": answers} | more, start)
            found += [_prediction(body, each) for each in body["predictions"]]
        return found

    def label(self, labels: Mapping[str, Any], *, at: datetime | None = None, source: str = "") -> Sequence[str]:
        """Give the truth of predictions, by their ids; returns the ids of the deliveries, which are on disk then.

        Raises as `predict` does.
        """
        more = {key: value for key, value in (("at", at and at.isoformat()), ("source", source)) if value}
        sent = [{"prediction": id, "value": _value(value)} | more for id, value in labels.items()]
        found: list[str] = []
        for start in range(0, len(sent), _BATCH):
            found += self._send("/labels", {"labels": sent[start : start + _BATCH]}, start)["ids"]
        return found

    def ready(self) -> Mapping[str, Any]:
        """Return what the gateway says of itself: who serves, by which epoch, and what is wrong."""
        try:
            reply = self._http.get("/ready")
        except httpx.HTTPError as exc:
            raise UnavailableError(f"nobody answers at {self._url}: {exc}") from exc
        return _body(reply)

    def _send(self, path: str, body: Mapping[str, Any], start: int) -> Mapping[str, Any]:
        """Return what the gateway says to a batch, whose first row is row `start` of what the caller gave."""
        try:
            reply = self._http.post(path, json=body)
        except httpx.HTTPError as exc:
            raise UnavailableError(f"nobody answers at {self._url}: {exc}; is anew up running?") from exc
        except ValueError as exc:
            rows = f"the rows from {start} on"
            raise SchemaError(f"{rows} have a number that is not finite: give None for one that is missing") from exc
        said = _body(reply)
        if reply.is_success:
            return said
        problem = said.get("error", {}) if isinstance(said.get("error"), Mapping) else said
        field = _INDEX.sub(lambda found: f"[{int(found[1]) + start}]", str(problem.get("path", "")), count=1)
        where = f"{reply.status_code} {field}".rstrip()
        raise _KINDS.get(reply.status_code, AnewError)(f"{where}: {problem.get('message', said)}")


def _body(reply: httpx.Response) -> Mapping[str, Any]:
    try:
        said = reply.json()
    except ValueError as exc:
        raise UnavailableError(f"{reply.url} answered {reply.status_code} with something that is no JSON") from exc
    return said if isinstance(said, Mapping) else {"said": said}


def _prediction(body: Mapping[str, Any], entry: Mapping[str, Any]) -> Prediction:
    version = str(entry.get("version", body.get("version", "")))
    return Prediction(id=entry["id"], version=version, output=entry["output"], proba=entry.get("proba"))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    """Return a value that JSON has: instants as text, numbers of numpy as Python's."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
