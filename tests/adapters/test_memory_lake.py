"""The lake in memory keeps the contract, and reads no more than it is asked for."""

from datetime import timedelta

import polars as pl
import pytest

from anew.adapters.memory_lake import MemoryLake
from anew.domain.interval import Interval
from anew.testing.contract_lake import COLUMNS, START, LakeContract, prediction


class TestMemoryLake(LakeContract):
    """The contract."""

    @pytest.fixture
    def lake(self) -> MemoryLake:
        """Return an empty one."""
        return MemoryLake(COLUMNS)


def test_reads_look_only_into_the_frames_of_the_span(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = MemoryLake(COLUMNS)
    for i in range(50):
        lake.append("w0", 10 * (i + 1), [prediction(k, output=k % 2) for k in range(i * 10, i * 10 + 10)])
    looked: list[int] = []
    concat = pl.concat

    def counted(frames: list[pl.DataFrame]) -> pl.DataFrame:
        looked.append(len(frames))
        return concat(frames)

    monkeypatch.setattr(pl, "concat", counted)
    span = Interval(start=START + timedelta(minutes=95), end=START + timedelta(minutes=115))
    assert lake.predictions(span).height == 20
    assert looked == [3]
