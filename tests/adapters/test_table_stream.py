"""A table comes in batches whose size does not depend on it, and what is no table is refused by name."""

from pathlib import Path

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from anew.adapters.table_stream import open_table
from anew.domain.errors import NotFoundError, SchemaError

ROWS = 300_000


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    columns = {
        "x": pa.array(range(ROWS), pa.float64()),
        "c": pa.array(["a", None, "b"] * (ROWS // 3)),
        "large": pa.array(["a"] * ROWS, pa.large_string()),
        "coded": pa.array(["a"] * ROWS).dictionary_encode(),
        "x.y": pa.nulls(ROWS),
        "items": pa.array([["a"]] * ROWS),
    }
    pq.write_table(pa.table(columns), path, row_group_size=200_000)
    return path


def test_a_file_tells_its_columns_without_their_rows(table: Path) -> None:
    opened = open_table(table)
    assert opened.rows == ROWS
    assert opened.types == {
        "x": "double", "c": "string", "large": "large_string", "coded": "string", "x.y": "null",
        "items": "list<element: string>",
    }  # fmt: skip
    assert opened.unsupported == {"items"}


def test_batches_hold_every_row_once_and_are_bounded(table: Path) -> None:
    opened = open_table(table)
    names = [name for name in opened.types if name != "items"]
    for _ in range(2):
        batches = list(opened.batches(names))
        assert max(len(batch["x"]) for batch in batches) < 200_000
        assert pa.chunked_array([batch["x"] for batch in batches]).to_pylist() == list(range(ROWS))
        assert all(list(batch) == names for batch in batches)


@pytest.mark.parametrize("name", ["c", "large", "coded"])
def test_text_comes_coded(table: Path, name: str) -> None:
    opened = open_table(table)
    assert pa.types.is_dictionary(opened.column(name).type)
    assert all(pa.types.is_dictionary(batch[name].type) for batch in opened.batches([name]))
    assert opened.column(name).to_pylist() == pq.read_table(table)[name].to_pylist()


def test_files_of_polars_read_the_same(tmp_path: Path) -> None:
    frame = pl.DataFrame({"c": ["a", "b", None], "x": [1, 2, 3]})
    frame.write_parquet(tmp_path / "p.parquet")
    opened = open_table(tmp_path / "p.parquet")
    assert opened.column("c").to_pylist() == ["a", "b", None]
    assert [batch["x"].to_pylist() for batch in opened.batches(["x"])] == [[1, 2, 3]]


def test_a_table_without_rows_has_no_batches(tmp_path: Path) -> None:
    pl.DataFrame({"x": [1.0]}).clear().write_parquet(tmp_path / "empty.parquet")
    opened = open_table(tmp_path / "empty.parquet")
    assert (opened.rows, sum(len(batch["x"]) for batch in opened.batches(["x"]))) == (0, 0)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        open_table(tmp_path / "gone.parquet")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SchemaError, match=r"rows\.csv cannot be read as Parquet"):
        open_table(tmp_path / "rows.csv")
    twice = pa.table([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(SchemaError, match="more than one column is called x"):
        open_table(tmp_path / "twice.parquet")


def test_damage_within_the_rows_is_said(table: Path) -> None:
    raw = bytearray(table.read_bytes())
    raw[4:4000] = b"\xff" * 3996
    table.write_bytes(raw)
    opened = open_table(table)
    with pytest.raises(SchemaError, match=r"rows\.parquet cannot be read as Parquet"):
        list(opened.batches(["x"]))
    with pytest.raises(SchemaError, match=r"rows\.parquet cannot be read as Parquet"):
        opened.column("x")


@pytest.mark.parametrize(("most", "taken"), [(ROWS, ROWS), (100, 100), (7, 7), (1, 1)])
def test_a_sample_is_evenly_spaced_over_all_batches(table: Path, most: int, taken: int) -> None:
    opened = open_table(table)
    found = opened.sample(["x", "c"], most)
    step = -(-ROWS // most)
    whole = opened.column("x").to_pylist()
    assert len(found["x"]) == len(found["c"]) == -(-ROWS // step) <= taken
    assert found["x"].to_pylist() == whole[::step]
