"""`anew data log`: the log of another server, sent to the gateway that keeps it for the loop."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import httpx
import polars as pl

from anew.adapters.iso_text import iso_problem
from anew.adapters.table_file import read_table
from anew.app.settings import Settings
from anew.app.status import gateway_address
from anew.domain.column import ColumnKind, Columns
from anew.domain.errors import PolicyError, SchemaError, SettingsError, UnavailableError

__all__ = ["LogColumns", "LogSent", "LogTaker", "Refused", "model_address", "send_log", "until_refused"]

_BATCH = 1000
_NAMED: Final = re.compile(r"(?:asked\.)?(?P<list>rows|ids|answers|labels)\[(?P<place>\d+)\]\.?")
"""How the gateway names a row of a request."""


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
    """The gateway at `url`, told with `token` where it asks for one; SettingsError for one that cannot be sent."""

    def __init__(self, url: str, token: str = "") -> None:
        if not token.isascii():
            raise SettingsError("the token has characters other than those of ASCII, which no header has")
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
        except httpx.HTTPError as exc:
            raise UnavailableError(f"nobody answers at {self._url}: {exc}; is anew up running?") from exc
        try:
            said = reply.json()
        except ValueError as exc:
            told = f"{self._url} answered {reply.status_code} with something that is no JSON; is it anew's gateway?"
            raise UnavailableError(told) from exc
        if reply.is_success and isinstance(said, Mapping):
            return said
        problem = said.get("error", {}) if isinstance(said, Mapping) else {}
        path, told = str(problem.get("path", "")), problem.get("message", said)
        said_so = f"{reply.status_code}{f' {path}' if path else ''}: {told}"
        if reply.status_code in (409, 422):
            raise SchemaError(said_so, path)
        raise PolicyError(said_so) if reply.status_code in (401, 403) else UnavailableError(said_so)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The first of a batch that is refused: `place` of them stand before it, and are taken.

    Attributes
    ----------
    named
        Did the gateway name it? Else it refused them together, and this is the first.
    """

    place: int
    named: bool
    why: str
    by: SchemaError


def until_refused(post: Callable[[int], object], n: int) -> Refused | None:
    """Have the first `n` of a batch sent by `post` in one request; None when they were taken.

    A request is refused whole: then those before the one that is named are sent alone.
    """
    try:
        post(n)
    except SchemaError as exc:
        found = _NAMED.match(exc.path)
        place = int(found["place"]) if found else 0
        if place and (before := until_refused(post, place)):
            return before
        field, why = exc.path[found.end() if found else 0 :], str(exc).partition(": ")[2]
        return Refused(place=place, named=found is not None, why=f"{field}: {why}" if field else why, by=exc)
    return None


def send_log(settings: Settings, file: Path, named: LogColumns, taker: LogTaker) -> LogSent:
    """Send the rows of `file`, in time order, up to the first that the gateway refuses; the target goes as the label.

    A row keeps its id, so that a log which is sent again, or grows, brings each request once.

    Raises
    ------
    SettingsError
        The project does not take logs, or the file lacks a column, or has text where a number is declared, or a number
        that is not finite.
    SchemaError
        As the gateway says, with the row of the file and how much was taken before it, which stays.
    PolicyError, UnavailableError
        As the gateway says, with how much was taken before, which stays.
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
    if columns.target in frame.columns:
        needed.append(columns.target)
        if frame.schema[columns.target].is_float():  # NaN is no label
            frame = frame.with_columns(pl.col(columns.target).fill_nan(None))
    _check_numbers(frame.select(list(dict.fromkeys(needed))), columns, file)
    order = frame.select(pl.arg_sort_by(columns.time, maintain_order=True)).to_series()
    frame = _declared(frame[order], columns).with_columns(pl.col(named.id).cast(pl.String))
    rows = [place + 1 for place in order]
    sending = _Sending(settings, file.name, named, asked, taker)
    for start, n in _parts(frame, named.version):
        sending.send(frame.slice(start, n), rows[start : start + n])
    return LogSent(predictions=sending.predictions, labels=sending.labels)


def _check_numbers(frame: pl.DataFrame, columns: Columns, file: Path) -> None:
    """Refuse a cell that is no number, which makes text of a whole column of a CSV file, or is not finite."""
    numbers = {column.name for column in columns.features if column.kind is ColumnKind.NUMBER}
    for said in frame:
        if said.dtype == pl.String and said.name in numbers:
            wrong, wanted = said.cast(pl.Float64, strict=False).is_null() & said.is_not_null(), "numbers"
        else:
            wrong, wanted = _endless(said), "finite numbers, or nothing"
        row = wrong.arg_max()
        if row is not None and wrong[row]:
            found = f"{said.to_list()[row] if said.dtype.is_nested() else said[row]!r} in row {row + 1}"
            raise SettingsError(f"{file}: the column {said.name!r} has {wanted}, found {found}; nothing was sent")


def _declared(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Return categories as text and dates as instants, as history has them; without a zone they are in UTC."""
    texts = [column.name for column in columns.features if column.kind is ColumnKind.CATEGORY]
    frame = frame.with_columns(pl.col(name).cast(pl.String) for name in texts if not frame.schema[name].is_nested())
    if frame.schema[columns.time] == pl.Date:
        frame = frame.with_columns(pl.col(columns.time).cast(pl.Datetime("us")))
    if frame.schema[columns.time] == pl.Datetime and getattr(frame.schema[columns.time], "time_zone", None) is None:
        frame = frame.with_columns(pl.col(columns.time).dt.replace_time_zone("UTC"))
    return frame


def _endless(said: pl.Series) -> pl.Series:
    """Return which cells are, or which vectors have, a number that JSON does not have."""
    inner = getattr(said.dtype, "inner", said.dtype)
    if not inner.is_float():
        return pl.Series([False] * said.len(), dtype=pl.Boolean)
    if not said.dtype.is_nested():
        return ~said.is_finite()
    lists = said.arr.to_list() if isinstance(said.dtype, pl.Array) else said
    return lists.list.eval(~pl.element().is_finite()).list.any()


@dataclass(slots=True)
class _Sending:
    """Sends parts of a log, and counts what was taken."""

    settings: Settings
    file: str
    named: LogColumns
    asked: Sequence[str]
    taker: LogTaker
    predictions: int = 0
    labels: int = 0

    def send(self, part: pl.DataFrame, rows: Sequence[int]) -> None:
        """Send a part, whose `rows` in the file these are, and then its labels, up to the first that is refused."""
        try:
            self._log(part, rows)
        except (PolicyError, UnavailableError) as exc:
            raise type(exc)(f"{exc} (of {self.file} {self._taken('before')})") from exc

    def _log(self, part: pl.DataFrame, rows: Sequence[int]) -> None:
        ids: list[str] = []

        def post(n: int) -> None:
            said = self.taker.post("/log", _told(part.head(n), self.asked, self.named))
            ids.extend(each["id"] for each in said["predictions"])

        refused = until_refused(post, part.height)
        self.predictions += len(ids)
        if ids:
            self._label(_labels(part.head(len(ids)), self.settings.columns, ids, rows))
        if refused:
            raise self._refused(rows[refused.place], refused)

    def _label(self, labels: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        if not labels:
            return
        told = [label for _, label in labels]
        refused = until_refused(lambda n: self.taker.post("/labels", {"labels": told[:n]}), len(told))
        self.labels += refused.place if refused else len(told)
        if refused:
            raise self._refused(labels[refused.place][0], refused)

    def _refused(self, row: int, refused: Refused) -> SchemaError:
        said = f"row {row} of {self.file}: {refused.why} ({self._taken('before it')})"
        return SchemaError(said, refused.by.path)

    def _taken(self, when: str) -> str:
        return f"taken {when}: {self.predictions} rows, {self.labels} labels"


def _parts(frame: pl.DataFrame, version: str) -> Sequence[tuple[int, int]]:
    """Return where each batch begins and how many rows it has, all of one version."""
    runs = frame.get_column(version).rle().struct.field("len").to_list() if version else [frame.height]
    return [
        (first + start, min(_BATCH, n - start))
        for first, n in zip(accumulate(runs, initial=0), runs, strict=False)
        for start in range(0, n, _BATCH)
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


def _labels(
    part: pl.DataFrame, columns: Columns, ids: Sequence[str], rows: Sequence[int]
) -> Sequence[tuple[int, Mapping[str, Any]]]:
    """Return the labels, each with its row, as of the newest row of the batch: sent again they are the same."""
    if columns.target not in part.columns:
        return ()
    newest = part.get_column(columns.time)[-1]
    at = newest if isinstance(newest, datetime) else datetime.fromisoformat(str(newest))
    beside = {"at": (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat(), "source": "log"}
    values = {id: (row, value) for row, id, value in zip(
        rows[: part.height], ids, part.get_column(columns.target), strict=True
    ) if value is not None}  # fmt: skip
    return [(row, {"prediction": id, "value": value} | beside) for id, (row, value) in values.items()]
