"""`anew data log`: the log of another server, sent to the gateway that keeps it for the loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from anew.adapters.iso_text import iso_problem
from anew.adapters.table_file import read_table
from anew.app.settings import Settings
from anew.app.status import gateway_address
from anew.domain.errors import PolicyError, SchemaError, SettingsError, UnavailableError

__all__ = ["LogColumns", "LogSent", "LogTaker", "model_address", "send_log"]

_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogColumns:
    """Which columns of a log say what was answered, which request it was, and by which version; empty: none does."""

    output: str
    id: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSent:
    """How much of a log the gateway has on disk: its rows, and those whose label stood beside them."""

    predictions: int
    labels: int


def model_address(settings: Settings) -> str:
    """Return where this machine's gateway answers for the project's model, alone there or one of several."""
    return f"{gateway_address(settings.state, settings.policy.serving.port)}/models/{settings.model}"


class LogTaker:
    """The gateway at `url`, told with `token` where it asks for one."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what it answers.

        Raises
        ------
        UnavailableError, PolicyError, SchemaError
            Nobody answers now; it may not be told; or what was said is wrong, and where.
        """
        try:
            reply = httpx.post(f"{self._url}{path}", json=body, headers=self._headers, timeout=30)
            said = reply.json()
        except (httpx.HTTPError, ValueError) as exc:
            raise UnavailableError(f"nobody answers at {self._url}: {exc}; is anew up running?") from exc
        if reply.is_success and isinstance(said, Mapping):
            return said
        problem = said.get("error", {}) if isinstance(said, Mapping) else {}
        path, told = str(problem.get("path", "")), problem.get("message", said)
        said_so = f"{reply.status_code}{f' {path}' if path else ''}: {told}"
        if reply.status_code in (409, 422):
            raise SchemaError(said_so, path)
        raise PolicyError(said_so) if reply.status_code in (401, 403) else UnavailableError(said_so)


def send_log(settings: Settings, file: Path, named: LogColumns, taker: LogTaker) -> LogSent:
    """Send the rows of `file`, in time order; where it has the target, it goes as the label.

    A row keeps its id, so that a log which is sent again, or grows, brings each request once.

    Raises
    ------
    SettingsError
        The project does not take logs, or the file lacks a column.
    SchemaError, PolicyError, UnavailableError
        As the gateway says; what was sent before stays.
    """
    if not settings.policy.serving.log_only:
        where = settings.document.where(("serving",))
        raise SettingsError(f"{where}: this project answers by itself; serving: {{log_only: true}} takes logs instead")
    columns = settings.columns
    try:
        frame = read_table(file)
    except SchemaError as exc:
        raise SettingsError(str(exc)) from exc
    beside = [name for name in (columns.key, *columns.sensitive) if name and name not in columns.names]
    asked = [columns.time, *columns.names, *(name for name in beside if name in frame.columns)]
    needed = [*asked, named.output, named.id, *([named.version] if named.version else [])]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise SettingsError(f"{file} has no column {', '.join(map(repr, missing))}; it has {', '.join(frame.columns)}")
    if frame.schema[columns.time] == pl.String and (why := iso_problem(frame.get_column(columns.time))):
        raise SettingsError(f"{file}: the time column {columns.time!r}: {why}")
    frame = frame.sort(columns.time, maintain_order=True).with_columns(pl.col(named.id).cast(pl.String))
    if frame.schema[columns.time] == pl.Datetime and getattr(frame.schema[columns.time], "time_zone", None) is None:
        frame = frame.with_columns(pl.col(columns.time).dt.replace_time_zone("UTC"))
    sent, labelled = 0, 0
    for part in _parts(frame, named.version):
        said = taker.post("/log", _told(part, asked, named))["predictions"]
        sent += len(said)
        labelled += _label(part, settings, [each["id"] for each in said], taker)
    return LogSent(predictions=sent, labels=labelled)


def _parts(frame: pl.DataFrame, version: str) -> Sequence[pl.DataFrame]:
    """Cut into batches, each of one version."""
    runs = frame.with_columns(_run=pl.col(version).rle_id()) if version else frame.with_columns(_run=pl.lit(0))
    return [
        run.slice(start, _BATCH)
        for run in runs.partition_by("_run", maintain_order=True)
        for start in range(0, run.height, _BATCH)
    ]


def _told(part: pl.DataFrame, asked: Sequence[str], named: LogColumns) -> dict[str, Any]:
    """Return the body of one batch; a missing version is the champion's."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in part.select(asked).to_dicts()]
    answers = [{"output": each} for each in part.get_column(named.output).to_list()]
    version = part.get_column(named.version)[0] if named.version else None
    body = {"asked": {"rows": rows, "ids": part.get_column(named.id).to_list()}, "answers": answers}
    return body | ({"version": str(version)} if version else {})


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _label(part: pl.DataFrame, settings: Settings, ids: Sequence[str], taker: LogTaker) -> int:
    """Send labels as of the newest row of the batch: sent again they are the same deliveries."""
    if settings.columns.target not in part.columns:
        return 0
    values = part.get_column(settings.columns.target).to_list()
    known: Mapping[str, Any] = {id: value for id, value in zip(ids, values, strict=True) if value is not None}
    if known:
        newest = part.get_column(settings.columns.time)[-1]
        at = newest if isinstance(newest, datetime) else datetime.fromisoformat(str(newest))
        beside = {"at": (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat(), "source": "log"}
        taker.post("/labels", {"labels": [{"prediction": id, "value": value} | beside for id, value in known.items()]})
    return len(known)
