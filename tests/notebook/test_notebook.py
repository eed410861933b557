"""What `import anew` offers: any library's frames, the same numbers as the command line, escaped HTML."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

import anew
from anew.app.drift import DriftOptions, measure_drift
from anew.domain.errors import AnewError, NotFoundError, PolicyError, SchemaError, UnavailableError
from anew.domain.facts import TrainingPlanned
from anew.domain.interval import Interval
from anew.notebook import Client
from tests.cli.recorded import AT, record, write_record

EVIL = "<img src=x onerror=alert(1)>"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") for name, _ in attrs)
        self.seen.append(tag)


def tags(result: Any) -> list[str]:
    parser = _Tags()
    parser.feed(result._repr_html_())
    return parser.seen


@pytest.fixture
def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(0)
    before = pl.DataFrame({"x": rng.normal(size=2000), EVIL: rng.normal(size=2000), "c": ["a", EVIL] * 1000})
    return before, before.with_columns(pl.col("x") + 1.0)


def test_frames_of_every_library_give_what_the_command_line_gives(
    frames: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path
) -> None:
    files = [tmp_path / "before.parquet", tmp_path / "now.parquet"]
    for frame, file in zip(frames, files, strict=True):
        frame.write_parquet(file)
    by_command = measure_drift(DriftOptions(reference=files[0], current=files[1]))
    for before, now in (
        frames,
        (frames[0].to_arrow(), frames[1].to_arrow()),
        (frames[0].to_dict(as_series=False), frames[1].to_dict(as_series=False)),
    ):
        found = anew.drift(before, now)
        assert found.drifted == by_command.drifted == ("x",)
        assert not found.settled
        measured = found.report.columns["x"].measured
        expected = by_command.columns["x"].measured
        assert measured is not None
        assert expected is not None
        assert measured.psi == expected.psi
    assert anew.drift(*files).drifted == ("x",)
    assert anew.drift(frames[0], frames[0]).settled


def test_pandas_where_it_is_installed(frames: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    pandas = pytest.importorskip("pandas")
    before, now = (pandas.DataFrame(frame.to_dict(as_series=False)) for frame in frames)
    assert anew.drift(before[before["x"] > -9], now).drifted == ("x",)  # a filtered frame sends its index along
    assert "__index_level_0__" not in anew.profile(before[before["x"] > 0]).columns


@pytest.mark.parametrize("kind", [pl.Categorical(), pl.Enum(["a", "b"])], ids=str)
def test_categories_of_polars_go_in_as_they_are(kind: pl.DataType, tmp_path: Path) -> None:
    before = pl.DataFrame({"c": pl.Series(["a", "b", None] * 200, dtype=kind)})
    now = pl.DataFrame({"c": pl.Series(["a", "a", "b"] * 200, dtype=kind)})
    before.write_parquet(tmp_path / "before.parquet")
    found = anew.profile(before).columns["c"]
    assert (found.kind, found.n, found.nulls) == ("categorical", 600, 200)
    assert anew.drift(before, now).drifted == anew.drift(tmp_path / "before.parquet", now).drifted == ("c",)
    assert not anew.drift(tmp_path / "before.parquet", now).report.retyped


def test_a_profile_counts_what_is_there() -> None:
    frame = pa.table({"x": [1.0, None, 3.0], "c": ["a", "b", "b"], "s": [{"k": 1}] * 3})
    found = anew.profile(frame)
    assert (found.rows, found.columns["x"].nulls, found.columns["x"].mean) == (3, 1, 2.0)
    assert found.unsupported == ["s"]
    assert "table" in tags(found)


def test_types_of_pandas_own_are_taken_as_they_are_kept() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": range(40), "month": pandas.period_range("2026-01", periods=40, freq="M")})
    assert set(anew.profile(frame).columns) == {"x", "month"}


def test_what_is_no_frame_is_refused_by_a_sentence() -> None:
    with pytest.raises(SchemaError, match="pandas, polars or pyarrow"):
        anew.profile(42)  # type: ignore[arg-type]  # what a user may do
    with pytest.raises(SchemaError, match="Arrow does not take"):
        anew.profile({"x": [1, 2], "y": [1]})
    with pytest.raises(SchemaError, match=r"Arrow cannot write this Table as Parquet: .*; leave out"):
        anew.profile(pa.table({"x": [1], "month": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}))


def test_a_column_that_changed_its_type_or_is_missing_is_said() -> None:
    before: dict[str, list[object]] = {
        "amount": list(range(100)),
        "b": [1.0] * 100,
        "gone": [1] * 100,
        "s": [{"k": 1}] * 100,
    }
    now: dict[str, list[object]] = {"amount": list(map(str, range(100))), "b": [1] * 100, "s": [{"k": 1}] * 100}
    found = anew.drift(before, now)
    assert (found.drifted, found.settled) == ((), False)
    assert repr(found) == "<anew drift: no drift seen; missing: gone; type changed: amount; 1 columns, alpha 0.01>"
    shown = found._repr_html_()
    assert "amount was int64, is string, which cannot be compared" in shown
    assert "b was double, is int64" in shown
    assert "b was double, is int64," not in shown
    assert "not looked at" in shown
    with pytest.raises(SchemaError) as caught:
        anew.drift({"a": [1]}, {"a": ["x"], "b": [2]})
    assert "the reference has a (int64), the current rows have a (string), b (int64)" in str(caught.value)
    assert ".parquet" not in str(caught.value)


def test_html_is_escaped(frames: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path) -> None:
    project = anew.Project(write_record(tmp_path / "small"))
    results: list[Any] = [anew.drift(*frames), anew.profile(frames[0]), project.status(), project.run("v1")]
    results += [project.gates("v1")]
    for each in results:
        seen = tags(each)
        assert "img" not in seen
        assert "script" not in seen
        assert "\n" not in repr(each)
    assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in results[0]._repr_html_()


def test_a_project_is_read_from_its_record(tmp_path: Path) -> None:
    project = anew.Project(write_record(tmp_path / "small"))
    assert project.status().champion == "v1"
    assert project.run("v1").standing == "champion"
    assert project.gates("v1").passed
    with pytest.raises(NotFoundError):
        project.rollout()
    with pytest.raises(NotFoundError):
        project.run("v9")
    with pytest.raises(NotFoundError, match="no version 'v9'; known are v1"):
        project.gates("v9")
    span = Interval(start=AT - timedelta(days=9), end=AT)
    plan = TrainingPlanned(
        model="small", at=AT, version="v2", champion="v1", span=span, holdout_share=0.1, seed=1, code="c", settings="s"
    )
    record(tmp_path / "small", plan)
    assert "none on record" in repr(project.gates("v2"))
    with pytest.raises(NotFoundError):
        anew.Project(tmp_path / "nowhere")


def test_the_client_asks_in_batches_and_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.headers.get("authorization") != "Bearer secret":
            return httpx.Response(401, json={"error": {"code": "unauthorised", "message": "send a token", "path": ""}})
        if request.url.path == "/labels":
            return httpx.Response(
                200, json={"ids": [each["prediction"] for each in json.loads(request.content)["labels"]]}
            )
        rows = json.loads(request.content)["rows"]
        said = [{"id": str(i), "output": row["x"], "proba": None, "version": "v1"} for i, row in enumerate(rows)]
        return httpx.Response(200, json={"model": "m", "version": "v1", "predictions": said})

    client = Client("http://gateway", "secret")
    transport = httpx.MockTransport(answer)
    client._http = httpx.Client(base_url="http://gateway", headers=client._http.headers, transport=transport)
    with client:
        found = client.predict(pl.DataFrame({"x": np.arange(1500.0), "at": [datetime(2026, 1, 1, tzinfo=UTC)] * 1500}))
        assert [each.output for each in found] == list(np.arange(1500.0))
        assert len(seen) == 2
        assert client.predict({"x": np.float64(2.0)})[0].version == "v1"
        assert client.label({"7": 1}) == ["7"]
    assert "secret" not in repr(client)
    other = Client("http://gateway")
    other._http = httpx.Client(base_url="http://gateway", transport=transport)
    with other, pytest.raises(PolicyError, match="send a token"):
        other.predict({"x": 1.0})
    with pytest.raises(SchemaError, match="rows from 0 on have a number that is not finite"):
        other.predict({"x": float("nan")})
    with Client("http://127.0.0.1:9", timeout_s=2) as nobody, pytest.raises(UnavailableError, match="anew up"):
        nobody.predict({"x": 1.0})


def test_the_client_names_the_field_that_is_refused_and_its_row_among_all_that_were_given() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if request.url.path == "/log":
            return httpx.Response(409, json={"error": {"code": "version", "message": "no such", "path": "version"}})
        name, entries = next(iter(body.items()))
        bad = next((i for i, each in enumerate(entries) if "bad" in each.values()), None)
        if bad is None:
            said = [{"id": str(i), "output": 1, "version": "v1"} for i in range(len(entries))]
            return httpx.Response(200, json={"predictions": said, "ids": [each["id"] for each in said]})
        error = {"code": "invalid", "message": "Expected int, got str", "path": f"{name}[{bad}].x[7]"}
        return httpx.Response(422, json={"error": error})

    with Client("http://gateway") as client:
        client._http = httpx.Client(base_url="http://gateway", transport=httpx.MockTransport(answer))
        rows = [{"x": 1.0}] * 1500 + [{"x": "bad"}]
        with pytest.raises(SchemaError, match=r"^422 rows\[1500\]\.x\[7\]: Expected int, got str$"):
            client.predict(rows)
        with pytest.raises(SchemaError, match=r"^422 labels\[1001\]\.x\[7\]: "):
            client.label({str(i): "bad" if i == 1001 else 1 for i in range(1100)})
        with pytest.raises(AnewError, match=r"^409 version: no such$"):
            client.log([{"x": 1.0}], [1])


def test_nothing_is_loaded_before_it_is_used() -> None:
    told = "import sys, anew; assert 'anew.notebook' not in sys.modules; anew.drift; print('polars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("True", "False")
    with pytest.raises(AttributeError):
        _ = anew.nothing
    assert set(anew.__all__) == {"Client", "Project", "__version__", "drift", "profile"}
