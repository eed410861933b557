"""A log file is sent in batches of one version, with labels where it has them, and says what it lacks."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from anew.app.log_file import LogColumns, LogTaker, send_log
from anew.app.settings import load
from anew.domain.errors import SchemaError, SettingsError, UnavailableError
from tests.app.small_project import YAML, write_project

NAMED = LogColumns(output="said", id="request", version="by")


class Taker(LogTaker):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("http://nowhere.invalid")
        self.told: list[tuple[str, Mapping[str, Any]]] = []

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer as the gateway does."""
        self.told.append((path, body))
        return {"predictions": [{"id": f"id-{each}"} for each in body["asked"]["ids"]]} if path == "/log" else {}


def project(folder: Path, more: str = "serving: {log_only: true}\nrollout: {canary: []}\n") -> Any:
    return load(write_project(folder, YAML + more))


def written(folder: Path, settings: Any, **more: Any) -> Path:
    columns = settings.columns
    n = 4
    at = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in reversed(range(n))]
    plain = {each.name: [1.0] * n for each in columns.features}
    said = {"said": [0, 1, 0, 1], "request": [10, 11, 12, 13], "by": ["v2", "v2", "v1", "v1"]}
    frame = pl.DataFrame({columns.time: at} | plain | said | more)
    frame.write_parquet(folder / "log.parquet")
    return folder / "log.parquet"


def test_rows_go_in_time_order_a_version_at_a_time_with_their_labels(tmp_path: Path) -> None:
    settings = project(tmp_path / "p")
    target = {settings.columns.target: [1, None, 0, 1]}
    taker = Taker()
    sent = send_log(settings, written(tmp_path, settings, **target), NAMED, taker)
    assert (sent.predictions, sent.labels) == (4, 3)
    logs = [body for path, body in taker.told if path == "/log"]
    assert [(each["version"], each["asked"]["ids"]) for each in logs] == [("v1", ["13", "12"]), ("v2", ["11", "10"])]
    assert [each["output"] for each in logs[0]["answers"]] == [1, 0]
    labels = [each for path, body in taker.told if path == "/labels" for each in body["labels"]]
    assert [(each["prediction"], each["value"]) for each in labels] == [("id-13", 1), ("id-12", 0), ("id-10", 1)]


def test_what_cannot_be_sent_says_why(tmp_path: Path) -> None:
    settings = project(tmp_path / "p")
    file = written(tmp_path, settings)
    with pytest.raises(SettingsError, match="has no column 'answer'"):
        send_log(settings, file, LogColumns(output="answer", id="request"), Taker())
    with pytest.raises(SettingsError, match="answers by itself"):
        send_log(project(tmp_path / "q", ""), file, NAMED, Taker())
    guessed = written(tmp_path, settings, **{settings.columns.time: ["2026-01-01", "02/01/2026", "", ""]})
    with pytest.raises(SettingsError, match="'02/01/2026' in row 2 is neither a date"):
        send_log(settings, guessed, NAMED, Taker())
    file = written(tmp_path, settings)
    with pytest.raises(UnavailableError, match="is anew up running"):
        send_log(settings, file, NAMED, LogTaker("http://127.0.0.1:1"))


class Strict(Taker):
    """Refuses a request with a row, or a label, that is known by an id; and a version."""

    def __init__(self, refused: str) -> None:
        super().__init__()
        self.refused = refused

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer as the gateway does."""
        if path == "/log" and body["version"] == self.refused:
            raise SchemaError(f"409 version: {self.refused} is not what answers now", "version")
        known = body["asked"]["ids"] if path == "/log" else [each["prediction"] for each in body["labels"]]
        if self.refused in known:
            place = f"{'rows' if path == '/log' else 'labels'}[{known.index(self.refused)}].x"
            raise SchemaError(f"422 {place}: too much", place)
        return super().post(path, body)


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("13", "row 4 of log.parquet: x: too much (taken before it: 0 rows, 0 labels)"),
        ("12", "row 3 of log.parquet: x: too much (taken before it: 1 rows, 1 labels)"),
        ("10", "row 1 of log.parquet: x: too much (taken before it: 3 rows, 2 labels)"),
        ("v2", "row 2 of log.parquet: version: v2 is not what answers now (taken before it: 2 rows, 2 "),
        ("id-12", "row 3 of log.parquet: x: too much (taken before it: 2 rows, 1 labels)"),
        ("id-10", "row 1 of log.parquet: x: too much (taken before it: 4 rows, 2 labels)"),
    ],
)
def test_the_row_that_is_refused_is_named_and_what_stands_before_it_taken(
    tmp_path: Path, refused: str, said: str
) -> None:
    settings = project(tmp_path / "p")
    file = written(tmp_path, settings, **{settings.columns.target: [1, None, 0, 1]})
    taker = Strict(refused)
    with pytest.raises(SchemaError) as caught:
        send_log(settings, file, NAMED, taker)
    assert str(caught.value).startswith(said)
    rows = sum(len(body["answers"]) for path, body in taker.told if path == "/log")
    labels = sum(len(body["labels"]) for path, body in taker.told if path == "/labels")
    assert f"(taken before it: {rows} rows, {labels} labels)" in str(caught.value)


class Lost(Taker):
    """Answers a number of requests, and then no more."""

    def __init__(self, answered: int) -> None:
        super().__init__()
        self.answered = answered

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer as the gateway does, while it does."""
        if len(self.told) == self.answered:
            raise UnavailableError("nobody answers")
        return super().post(path, body)


@pytest.mark.parametrize(
    ("answered", "taken"), [(0, "0 rows, 0 labels"), (1, "2 rows, 0 labels"), (3, "4 rows, 2 labels")]
)
def test_what_was_taken_before_nobody_answered_is_counted(tmp_path: Path, answered: int, taken: str) -> None:
    settings = project(tmp_path / "p")
    file = written(tmp_path, settings, **{settings.columns.target: [1, None, 0, 1]})
    with pytest.raises(UnavailableError) as caught:
        send_log(settings, file, NAMED, Lost(answered))
    assert str(caught.value) == f"nobody answers (of log.parquet taken before: {taken})"


def test_a_cell_that_is_no_number_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    settings, taker = project(tmp_path / "p"), Taker()
    name = settings.columns.features[0].name
    pl.read_parquet(written(tmp_path, settings)).with_columns(pl.Series(name, ["1", None, "abc", "2"])).write_csv(
        tmp_path / "log.csv"
    )
    with pytest.raises(SettingsError, match=f"the column '{name}' has numbers, found 'abc' in row 3"):
        send_log(settings, tmp_path / "log.csv", NAMED, taker)
    assert taker.told == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("column", ["x", "said", "y"])
def test_a_number_that_is_not_finite_is_refused_with_its_row_before_anything_is_sent(
    tmp_path: Path, column: str, number: float
) -> None:
    settings, taker = project(tmp_path / "p"), Taker()
    file = written(tmp_path, settings, **{"y": [1.0, None, 0.0, 1.0]} | {column: [1.0, 0.0, number, None]})
    if column == "y" and number != number:
        assert send_log(settings, file, NAMED, taker).labels == 2, "NaN is no label"
        return
    with pytest.raises(SettingsError, match=f"column '{column}' has finite numbers, .* found {number} in row 3; no"):
        send_log(settings, file, NAMED, taker)
    assert taker.told == []


def test_a_vector_with_a_number_that_is_not_finite_is_refused_with_its_row(tmp_path: Path) -> None:
    settings = load(
        write_project(
            tmp_path / "p",
            YAML.replace("z: number", "z: vector(2)") + "serving: {log_only: true}\nrollout: {canary: []}\n",
        )
    )
    taker, vectors = Taker(), [[1.0, 2.0], None, [1.0, float("nan")], [3.0, 4.0]]
    for kind in (pl.List(pl.Float64), pl.Array(pl.Float64, 2)):
        file = written(tmp_path, settings, z=pl.Series(vectors, dtype=kind))
        with pytest.raises(SettingsError, match=r"the column 'z' has finite .* found \[1\.0, nan\] in row 3; nothing"):
            send_log(settings, file, NAMED, taker)
    assert taker.told == []


def test_a_column_of_any_name_is_sent_as_it_is(tmp_path: Path) -> None:
    settings, taker = project(tmp_path / "p"), Taker()
    file = written(tmp_path, settings, _row=["a", "b", "c", "d"], _run=[1, 0, 1, 0])
    send_log(settings, file, LogColumns(output="_run", id="_row", version="by"), taker)
    logs = [body for _, body in taker.told]
    assert [body["asked"]["ids"] for body in logs] == [["d", "c"], ["b", "a"]]
    assert [[each["output"] for each in body["answers"]] for body in logs] == [[0, 1], [0, 1]]


def test_dates_and_categories_of_a_csv_file_are_sent_as_history_has_them(tmp_path: Path) -> None:
    more = "serving: {log_only: true}\nrollout: {canary: []}\n"
    yaml = YAML.replace("{x: number, z: number}", "{x: category, z: category}") + more
    settings, taker = load(write_project(tmp_path / "p", yaml)), Taker()
    days = [f"2026-01-0{i}" for i in range(1, 5)]
    written(tmp_path, settings, at=days, x=days, z=[7, 8, 9, None], y=[1, 0, 1, 0])
    pl.read_parquet(tmp_path / "log.parquet").write_csv(tmp_path / "log.csv")
    assert send_log(settings, tmp_path / "log.csv", NAMED, taker).labels == 4
    rows = [row for path, body in taker.told if path == "/log" for row in json.loads(json.dumps(body))["asked"]["rows"]]
    assert rows == [
        {"at": f"{day}T00:00:00+00:00", "x": day, "z": z} for day, z in zip(days, ["7", "8", "9", None], strict=True)
    ]


def test_a_taker_says_what_is_wrong_with_its_gateway_and_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="other than those of ASCII"):
        LogTaker("http://127.0.0.1:1", "l\u00f6we")
    monkeypatch.setattr("httpx.post", lambda *_, **__: httpx.Response(200, text="<html>"))
    with pytest.raises(UnavailableError, match="answered 200 with something that is no JSON"):
        LogTaker("http://127.0.0.1:1").post("/labels", {})


def test_a_share_of_somebody_elses_traffic_cannot_be_steered(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"rollout\.canary: another server answers"):
        project(tmp_path / "p", "serving: {log_only: true}\nrollout: {canary: [0.5]}\n")
    with pytest.raises(SettingsError, match=r"rollout\.canary: another server answers"):
        project(tmp_path / "q", "serving: {log_only: true}\n")
    assert project(tmp_path / "r", "serving: {log_only: true}\nrollout: {strategy: blue_green}\n")
