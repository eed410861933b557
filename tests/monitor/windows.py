"""Windows for tests of detectors: rows seen and rows scored, against a yardstick made of others."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl

from anew.domain.column import Task
from anew.domain.interval import Interval
from anew.monitor import ScoredRows, SeenRows, Yardstick
from anew.stats.profile import Reference

__all__ = ["DAY", "reference_of", "scored", "seen"]

DAY = Interval(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))


def reference_of(rows: pl.DataFrame) -> Reference:
    """Return the reference of all columns of `rows`."""
    return Reference.fit({name: rows.get_column(name).to_arrow() for name in rows.columns})


def seen(rows: pl.DataFrame, yardstick: Yardstick, task: Task = Task.BINARY) -> SeenRows:
    """Return `rows` as a closed window."""
    names = yardstick.features.names

    def profile():  # type: ignore[no-untyped-def]  # what SeenRows says
        return yardstick.features.profile({name: rows.get_column(name).to_arrow() for name in names})

    return SeenRows(task=task, window=DAY, yardstick=yardstick, profile=profile, rows=rows)


def scored(label: Sequence[object], yardstick: Yardstick | None, task: Task = Task.BINARY) -> ScoredRows:
    """Return rows with these labels, each answered with the first of them."""
    texts = [str(each) for each in label] if task.classifies else list(label)
    values = np.array(texts)
    output = np.full_like(values, values[0]) if len(values) else values
    return ScoredRows(
        task=task,
        label=values,
        output=output,
        loss=np.zeros(len(values)),
        rows=len(values),
        table=pl.DataFrame({"_label": texts}),
        yardstick=yardstick,
    )
