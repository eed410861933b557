"""Files become labelled rows as declared, or say which column of which file does not fit."""

import zlib
from base64 import b85decode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from anew.adapters.table_file import file_digest, labelled_rows, read_table, refuse_future, table_reach
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import NotFoundError, SchemaError

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001  files without a zone are what is tested
START = NAIVE.replace(tzinfo=UTC)


def declared(task: Task = Task.BINARY, classes: tuple[int | str, ...] = (0, 1), key: str = "") -> Columns:
    features = (Column(name="x", kind=ColumnKind.NUMBER), Column(name="c", kind=ColumnKind.CATEGORY))
    return Columns(time="at", target="y", features=features, task=task, classes=classes, key=key)


def table(**changed: Any) -> pl.DataFrame:
    base: dict[str, Any] = {
        "at": [NAIVE + timedelta(hours=i) for i in (2, 0, 1)],
        "y": [1, 0, 1],
        "x": [1, 2, None],
        "c": ["a", None, "b"],
        "more": [7, 8, 9],
    }
    return pl.DataFrame(base | changed)


def test_rows_come_in_time_order_with_their_declared_types() -> None:
    rows = labelled_rows(table(), declared(), "f.parquet")
    assert rows.columns == ["_at", "_label", "x", "c"]
    assert rows["_at"].to_list() == [START + timedelta(hours=i) for i in range(3)]
    assert rows["x"].to_list() == [2.0, None, 1.0]
    assert rows["c"].to_list() == [None, "b", "a"]
    assert rows["_label"].dtype == pl.Int64


def test_rows_of_one_instant_stay_in_the_order_of_the_file() -> None:
    rows = labelled_rows(table(at=[NAIVE] * 3, x=[3, 1, 2]), declared(), "f")
    assert rows["x"].to_list() == [3.0, 1.0, 2.0]


def test_another_zone_is_converted_and_none_is_read_as_utc() -> None:
    frame = table().with_columns(pl.col("at").dt.replace_time_zone("Europe/Berlin"))
    assert labelled_rows(frame, declared(), "f")["_at"][0] == START - timedelta(hours=1)
    dates = table(at=[NAIVE.date()] * 3)
    assert labelled_rows(dates, declared(), "f")["_at"][0] == START


# A Parquet file of two rows with a few of its bytes changed: the reader in Rust panics at them.
PANICS = zlib.decompress(b85decode(
    'c-'
    'nPR%TC)+5FJ~$QIN8TD(1?Tys)Zb1rb4Vc_gl&(j|nF^0Ff&#L|glf&{pVX?X0|Al6mYMHl^q?)n4Wu<ZwQ*)<E+ZN(kOVaLdtqn'
    'SD9%$3HTY*&$?jbcjy0F-{r{j-bL02+)!&kzA$;_I?v6)}f7YY9sE@yy7N*<*)^)<}8R$NwbO&E*X?h~qP4fNV-Pv;eR`*qMSYOH'
    'nv8Ewk)=(Jf@=BIJsu;$VR@{!QaQHD}MsKf9AZFr4I{7`_GPmRVRB8+1~GA^)m5_qy|4CkO4)&@Pnb<^^*8i{UHapLNchJpZjv0+'
    '^OjknQ&F{+p!R@0|q3A8n3esU=l3Db<InzVNd;ZEZ@K$VQ63oblBB{G9qqbeQo{ecD{5w7sWD_3o4Dh_|{fv+%BH-'
    'XuTz<U7)@CG?bCnm1C`L7M$mYT7(hR)qd&*;;1h(t9fMX|<BRC(}k&ANX<wj2$mN4hD%``fz#Hk58xVVQ-'
    'Ke#izEIt<F~LQs?8*acI{fw<0>>d=!PE7DaUtRu@FA9#q^wxQkIFqFT@kT`_Hz)m7=Rf7P8l^_x8cDUE(@'
))  # fmt: skip


@pytest.mark.parametrize("read", [read_table, lambda file: table_reach(file, "a")])
def test_a_damaged_file_is_refused_though_its_reader_panics(read: Callable[[Path], object], tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(PANICS)
    with pytest.raises(SchemaError, match=r"rows.parquet is damaged; write it again"):
        read(file)


def test_the_key_comes_along() -> None:
    rows = labelled_rows(table(), declared(key="more"), "f")
    assert rows["more"].to_list() == ["8", "9", "7"]


@pytest.mark.parametrize(
    ("labels", "classes", "found"),
    [
        ([True, False, True], (0, 1), [0, 1, 1]),
        ([1.0, 0.0, None], (0, 1), [0, 1]),
        ([1.0, float("nan"), 0.0], (0, 1), [0, 1]),
        (["yes", "no", "yes"], ("no", "yes"), ["no", "yes", "yes"]),
        (["1", "0", None], (0, 1), [0, 1]),
        ([1, 0, 1], ("0", "1"), ["0", "1", "1"]),
    ],
)
def test_labels_become_the_declared_classes_and_rows_without_are_left_out(
    labels: list[Any], classes: tuple[int | str, ...], found: list[Any]
) -> None:
    rows = labelled_rows(table(y=labels), declared(classes=classes), "f")
    assert rows["_label"].to_list() == found


def test_numbers_that_are_none_are_no_labels() -> None:
    frame = table(y=[float("nan"), float("inf"), 2.5])
    assert labelled_rows(frame, declared(Task.REGRESSION, ()), "f")["_label"].to_list() == [2.5]


def test_a_target_that_no_mean_can_be_taken_of_is_refused_with_its_row() -> None:
    said = r"f: 2 of 3 rows have a target .* row 2: 'y': -1e\+308 is no number from -1e\+100 to 1e\+100"
    with pytest.raises(SchemaError, match=said):
        labelled_rows(table(y=[1e100, -1e308, 1e101]), declared(Task.REGRESSION, ()), "f")
    assert labelled_rows(table(y=[1e100, -1e100, None]), declared(Task.REGRESSION, ()), "f").height == 2, "control"


def test_a_column_of_nothing_may_be_a_number() -> None:
    assert labelled_rows(table(x=[None] * 3), declared(), "f")["x"].to_list() == [None] * 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": ["a", "b", "c"]}, "f: column 'x' is String, declared is a number"),
        ({"c": [[1], [2], [3]]}, "f: column 'c' is no category"),
        ({"at": ["soon", "later", "never"]}, "f: the time column 'at' is String; it must hold timestamps"),
        ({"at": [1, 2, 3]}, "it must hold timestamps"),
        ({"at": [None, NAIVE, NAIVE]}, "f: 1 rows have no time in 'at'"),
        ({"y": [0, 1, 2]}, "f: the target 'y' holds 2; declared are 0, 1"),
        ({"y": [0.5, 1.0, 0.0]}, "holds 0.0, 0.5, 1.0; declared are 0, 1"),
        ({"y": [float("inf"), 1.0, 0.0]}, "declared are 0, 1"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaError) as found:
        labelled_rows(table(**change), declared(), "f")
    assert said in str(found.value)


def test_a_regression_needs_numbers() -> None:
    with pytest.raises(SchemaError, match="the target 'y' is String, a number is needed"):
        labelled_rows(table(y=["a", "b", "c"]), declared(Task.REGRESSION, ()), "f")


def test_missing_columns_are_named_with_those_that_are_there() -> None:
    with pytest.raises(SchemaError, match=r"f has no column y, c \(it has at, x, more\)"):
        labelled_rows(table().drop("y", "c"), declared(), "f")


def test_csv_is_read_as_parquet_is(tmp_path: Path) -> None:
    frame = table()
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.PARQUET")
    one, other = (labelled_rows(read_table(tmp_path / each), declared(), each) for each in ("t.csv", "t.PARQUET"))
    assert one.equals(other)


def test_days_of_a_csv_are_never_guessed(tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    days = [f"01/{1 + i:02}/2026 00:00" for i in range(12)]
    file.write_text(
        "at,came,y,x,c\n" + "".join(f"{day},2026-02-01,1,1,2026-01-0{1 + i % 9}\n" for i, day in enumerate(days))
    )
    frame = read_table(file)
    assert frame.schema["at"] == pl.String
    with pytest.raises(
        SchemaError, match=r"'at' is String; it must hold timestamps, and '01/01/2026 00:00' in row 1 is"
    ):
        labelled_rows(frame, declared(), "days.csv")
    known = frame.with_columns(at="came", came="at")
    assert labelled_rows(known, declared(), "days.csv")["c"][0] == "2026-01-01"
    with pytest.raises(SchemaError, match=r"the time column 'came' is String.* in row 1"):
        labelled_rows(known, declared(), "days.csv", label_time="came")
    assert read_table(file, texts=["came"]).schema["came"] == pl.String


def test_a_csv_may_turn_to_fractions_late(tmp_path: Path) -> None:
    file = tmp_path / "late.csv"
    file.write_text("v\n" + "1\n" * 500 + "1.5\n")
    assert read_table(file)["v"].dtype == pl.Float64


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("t.txt", b"a", "files of type .txt cannot be read; use .parquet or .csv"),
        ("noending", b"a", "files of type (none)"),
        ("t.parquet", b"not a parquet file", "t.parquet cannot be read"),
        ("t.parquet", b"", "t.parquet cannot be read"),
        ("t.csv", b"", "t.csv cannot be read"),
        (
            "t.csv",
            "x,größe\n1,2\n".encode("latin-1"),
            r"t.csv: line 1 has bytes that are no UTF-8, in b'x,gr\xf6\xdfe'",
        ),
        (
            "t.csv",
            b"x\n" + b"a\n" * 2_000_000 + b"\xfc\na\n",
            r"t.csv: line 2000002 has bytes that are no UTF-8, in b'\xfc'",
        ),
        ("t.csv", b"x\na\n\xc3", "t.csv: line 3 has bytes that are no UTF-8"),
        ("t.csv", "x\n1\n".encode("utf-16"), "t.csv: line 1 has bytes that are no UTF-8"),
        ("t.csv", b"x,y,x\n1,2,3\n", "t.csv: more than one column is called 'x'; give each a name of its own"),
        ("t.csv", b"\xef\xbb\xbfx,x\n", "more than one column is called 'x'"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SchemaError) as found:
        read_table(tmp_path / name)
    assert said in str(found.value)


def test_a_csv_may_begin_with_the_mark_of_utf_8(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("x,größe\n1,ü\n".encode("utf-8-sig"))
    assert read_table(tmp_path / "t.csv").to_dicts() == [{"x": 1, "größe": "ü"}]


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_what_is_no_file_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        read_table(tmp_path / name)


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f").startswith("ba7816bf8f01cfea")


def test_rows_from_the_future_are_refused_with_their_count_and_the_first_of_the_file() -> None:
    latest = START + timedelta(hours=1)
    refuse_future(table(at=[NAIVE, None, NAIVE + timedelta(hours=1)]), "at", "f.csv", latest)
    refuse_future(table(), "nowhere", "f.csv", latest)
    late = [NAIVE, datetime(2062, 11, 30), None, NAIVE + timedelta(hours=1, microseconds=1)]  # noqa: DTZ001  no zone
    with pytest.raises(SchemaError) as refused:
        refuse_future(pl.DataFrame({"at": late}), "at", "f.csv", latest)
    assert refused.value.path == "at"
    assert str(refused.value).startswith(
        "f.csv: 2 of 4 rows lie in the future, the first of them is row 2: 'at' 2062-11-30T00:00:00+00:00, and "
        "2024-01-01T01:00:00+00:00 is the latest allowed (serving.future_skew). Correct them"
    )


@pytest.mark.parametrize(
    "at",
    [
        pl.Series([START + timedelta(days=2)]).dt.convert_time_zone("Asia/Tokyo"),
        pl.Series([date(2024, 1, 3)]),
        pl.Series([253_402_300_800_000_000 * 9], dtype=pl.Datetime("us")),  # later than Python's last year
    ],
    ids=["zone", "date", "year 72000"],
)
def test_rows_from_the_future_are_known_however_they_are_written(at: pl.Series) -> None:
    frame = at.alias("at").to_frame()
    refuse_future(frame.head(0), "at", "f", START)
    with pytest.raises(SchemaError, match="1 of 1 rows lie in the future"):
        refuse_future(frame, "at", "f", START + timedelta(days=1))
