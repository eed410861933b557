"""A history is counted once, whoever counts which part of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from anew.adapters.local_workers import LocalWorkers
from anew.app.profile_over import profile_windows, whole_files
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import NotFoundError, SchemaError
from anew.loop.columns import profile_columns
from anew.stats.profile import Profile, Reference

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
WIDTH = 3_600_000_000
ROWS = 1000


def columns() -> Columns:
    """Return what the history has."""
    features = (Column(name="x", kind=ColumnKind.NUMBER), Column(name="sky", kind=ColumnKind.CATEGORY))
    return Columns(time="at", target="y", features=features, task=Task.REGRESSION)


def rows(count: int = ROWS, seed: int = 1, shift: float = 0.0) -> pl.DataFrame:
    """Return rows of five hours, some without values, in no order."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, size=count)
    x[::17] = np.nan
    frame = pl.DataFrame(
        {
            "at": [BEGIN + timedelta(seconds=18 * i) for i in range(count)],
            "x": x,
            "sky": rng.choice(["clear", "rain", "fog"], count),
        }
    )
    return frame.with_columns(sky=pl.when(pl.int_range(pl.len()) % 23 == 0).then(None).otherwise("sky")).sample(
        fraction=1.0, shuffle=True, seed=seed
    )


def packed() -> bytes:
    """Return the reference of other rows."""
    return Reference.fit(profile_columns(rows(seed=9), columns())).to_bytes()


def history(folder: Path, files: int = 2, group: int = 100) -> Path:
    """Write the rows into files of several row groups."""
    place = folder / "history"
    place.mkdir()
    frame, each = rows(), ROWS // files
    for number in range(files):
        frame.slice(number * each, each).write_parquet(place / f"{number}.parquet", row_group_size=group)
    return place


def whole() -> dict[int, Profile]:
    """Count it window by window, all at once."""
    reference = Reference.from_bytes(packed())
    numbered = rows().with_columns(_w=pl.col("at").dt.epoch("us") // WIDTH)
    parts = numbered.partition_by("_w", as_dict=True).items()
    return {number: reference.profile(profile_columns(part, columns())) for (number,), part in parts}


def same(found: Profile, expected: Profile) -> bool:
    """Are the counts equal, and sums but for the order in which floats were added?"""
    return found.n == expected.n and all(
        np.array_equal(found.columns[name].counts, each.counts)
        and found.columns[name].nulls == each.nulls
        and (each.mean is None or found.columns[name].mean == pytest.approx(each.mean))
        for name, each in expected.columns.items()
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(least=some.integers(1, 1200), group=some.integers(30, 600), files=some.sampled_from([1, 2, 4]))
def test_it_does_not_matter_how_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, least: int, group: int, files: int
) -> None:
    pieces = whole_files(history(tmp_path_factory.mktemp("cut"), files, group), least_rows=least)
    told: list[tuple[int, int]] = []
    found = profile_windows(LocalWorkers(1), (packed(), columns(), WIDTH), pieces, lambda *done: told.append(done))
    expected = whole()
    assert found.keys() == expected.keys()
    assert len(expected) == 5
    assert all(same(found[number], each) for number, each in expected.items())
    assert sum(each.n for each in found.values()) == ROWS
    assert told[-1] == (len(pieces), len(pieces))


@pytest.mark.system
def test_two_processes_count_what_one_does(tmp_path: Path) -> None:
    pieces = whole_files(history(tmp_path), least_rows=1)
    assert len(pieces) == 10
    found = profile_windows(LocalWorkers(2), (packed(), columns(), WIDTH), pieces)
    assert all(same(found[number], each) for number, each in whole().items())


def test_what_cannot_be_counted_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no Parquet file"):
        whole_files(tmp_path / "nowhere.parquet")
    (tmp_path / "spoilt.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SchemaError, match=r"spoilt\.parquet cannot be read"):
        whole_files(tmp_path / "spoilt.parquet")
    rows().drop("sky").write_parquet(tmp_path / "short.parquet")
    told = (packed(), columns(), WIDTH)
    with pytest.raises(SchemaError, match="has no column sky"):
        profile_windows(LocalWorkers(1), told, whole_files(tmp_path / "short.parquet"))
    rows().with_columns(at=pl.lit("noon")).write_parquet(tmp_path / "timeless.parquet")
    with pytest.raises(SchemaError, match="must hold timestamps"):
        profile_windows(LocalWorkers(1), told, whole_files(tmp_path / "timeless.parquet"))
