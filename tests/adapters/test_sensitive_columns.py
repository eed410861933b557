"""Sensitive columns come back with the labelled rows, whether they were imported or sent with a request."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.memory_lake import MemoryLake
from anew.adapters.table_file import labelled_rows
from anew.domain.interval import Interval
from anew.domain.observation import Answer, Label, Prediction
from anew.gateway.identity import prediction_id
from tests.loop.observed import COLUMNS

T0 = datetime(2024, 1, 1, tzinfo=UTC)
SENSITIVE = replace(COLUMNS, sensitive=("age", 'it\'s a "name"'))


@pytest.mark.parametrize("kind", ["memory", "delta"])
def test_sensitive_columns_come_back_as_text(tmp_path: Path, kind: str) -> None:
    lake = (
        MemoryLake(SENSITIVE)
        if kind == "memory"
        else DeltaLake(tmp_path / "lake", SENSITIVE, "m", tmp_path / "lake.db")
    )
    table = pl.DataFrame(
        {SENSITIVE.time: [T0], SENSITIVE.target: [1], "x": [1.0], "age": [30], SENSITIVE.sensitive[1]: ["a"]}
    )
    lake.import_history(labelled_rows(table, SENSITIVE, "history"), source="test")
    at = T0 + timedelta(hours=1)
    prediction = Prediction(
        id=prediction_id(at), model="m", at=at, received_at=at, row={"x": 2.0}, key="", version="v1", arm="champion",
        answer=Answer(output=1), epoch=1, latency_us=1, extra={"age": 41.0},
    )  # fmt: skip
    label = Label(id="l", model="m", prediction=prediction.id, value=0, at=at, received_at=at, source="api")
    lake.append("w", 2, [prediction, label])
    rows = lake.labelled(Interval(start=T0, end=at + timedelta(hours=1)))
    assert rows["age"].to_list() == ["30", "41"]
    assert rows[SENSITIVE.sensitive[1]].to_list() == ["a", None]
