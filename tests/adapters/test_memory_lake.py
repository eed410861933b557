"""The lake in memory keeps the contract, and its bulk path gives what single observations give."""

from datetime import timedelta

import polars as pl
import pytest

from anew.adapters.memory_lake import MemoryLake
from anew.domain.errors import SchemaError
from anew.domain.interval import Interval
from anew.testing.contract_lake import COLUMNS, EVER, START, LakeContract, label, prediction


class TestMemoryLake(LakeContract):
    """The contract."""

    @pytest.fixture
    def lake(self) -> MemoryLake:
        """Return an empty one."""
        return MemoryLake(COLUMNS)


def _frame(first: int, n: int) -> pl.DataFrame:
    i = pl.int_range(first, first + n, eager=True)
    return pl.DataFrame({
        "_id": [f"p{k:08d}" for k in i],
        "_at": [START + timedelta(minutes=k) for k in i],
        "_received_at": [START + timedelta(minutes=k, seconds=1) for k in i],
        "_version": "v1",
        "_output": i % 2,
        "temp": i.cast(pl.Int16),
        "sky": pl.Series(["clear"] * n, dtype=pl.Categorical),
        "view": [[float(i), 0.5] for i in range(first, first + n)],
    })  # fmt: skip


def test_frames_in_bulk_are_what_observations_are() -> None:
    bulk, single = MemoryLake(COLUMNS), MemoryLake(COLUMNS)
    bulk.append_frame("predictions", _frame(0, 20))
    single.append("w0", 20, [prediction(i, output=i % 2) for i in range(20)])
    names = ["_id", "_at", "_received_at", "_version", "_output", "_arm", "temp", "sky", "view", "_shadow_output"]
    assert bulk.predictions(EVER).select(names).equals(single.predictions(EVER).select(names))
    assert bulk.predictions(EVER).schema == single.predictions(EVER).schema
    single.append("w0", 40, [label(i, i % 2) for i in range(20)])
    bulk.append_frame("labels", single.labels(EVER))
    assert bulk.labelled(EVER).drop("_key").equals(single.labelled(EVER).drop("_key"))


def test_a_bulk_frame_that_lacks_a_column_is_refused() -> None:
    with pytest.raises(SchemaError, match="_output"):
        MemoryLake(COLUMNS).append_frame("predictions", _frame(0, 2).drop("_output"))


def test_reads_look_only_into_the_frames_of_the_span(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = MemoryLake(COLUMNS)
    for i in range(50):
        lake.append_frame("predictions", _frame(i * 10, 10))
    looked: list[int] = []
    concat = pl.concat

    def counted(frames: list[pl.DataFrame]) -> pl.DataFrame:
        looked.append(len(frames))
        return concat(frames)

    monkeypatch.setattr(pl, "concat", counted)
    span = Interval(start=START + timedelta(minutes=95), end=START + timedelta(minutes=115))
    assert lake.predictions(span).height == 20
    assert looked == [3]
