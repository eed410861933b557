"""Two files compared: the same verdicts from rows and from a stored reference, and every change of columns said."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.app.drift import DriftOptions, measure_drift
from anew.app.drift_sample import measure_samples
from anew.domain.errors import IntegrityError, NotFoundError, SchemaError, SettingsError
from anew.stats.comparison import DriftVerdict
from anew.stats.profile import Reference


def rows(folder: Path, name: str, columns: Mapping[str, Any]) -> Path:
    path = folder / f"{name}.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def sample(n: int, seed: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "same": rng.normal(size=n),
        "moved": rng.normal(shift, size=n),
        "colour": np.array(["red", "green", "blue"])[rng.integers(0, 3, n)],
    }


def test_what_moved_is_found_and_a_stored_reference_says_the_same(tmp_path: Path) -> None:
    reference, current = rows(tmp_path, "r", sample(150_000, 1)), rows(tmp_path, "c", sample(140_001, 2, shift=0.3))
    report = measure_drift(DriftOptions(reference=reference, current=current, save_profile=tmp_path / "p"))
    assert report.drifted == ("moved",)
    assert report.unsettled
    assert {name: each.verdict for name, each in report.columns.items()} == {
        "same": DriftVerdict.NONE_SEEN, "moved": DriftVerdict.DRIFT, "colour": DriftVerdict.NONE_SEEN,
    }  # fmt: skip
    again = measure_drift(DriftOptions(reference_profile=tmp_path / "p", current=current))
    assert again.columns == report.columns
    assert (again.reference, again.current) == (report.reference, report.current)


def test_one_pass_in_batches_counts_what_the_whole_table_does(tmp_path: Path) -> None:
    before, after = sample(1000, 3), sample(300_000, 4)
    reference, current = rows(tmp_path, "r", before), rows(tmp_path, "c", after)
    found = measure_drift(DriftOptions(reference=reference, current=current)).current
    whole = Reference.fit(before).profile(after)
    assert found.n == 300_000
    assert all((column.counts == whole.columns[name].counts).all() for name, column in found.columns.items())


def test_missing_new_and_retyped_columns_are_said(tmp_path: Path) -> None:
    numbers, days = list(range(100)), [date(2026, 1, 1 + day % 28) for day in range(100)]
    before = {"x": numbers, "gone": numbers, "to_text": numbers, "wider": numbers, "nulls": numbers, "day": days}
    after = {
        "x": numbers, "new": numbers, "to_text": list(map(str, numbers)), "wider": list(map(float, numbers)),
        "nulls": [None] * 100, "day": numbers,
    }  # fmt: skip
    options = DriftOptions(reference=rows(tmp_path, "r", before), current=rows(tmp_path, "c", after))
    report = measure_drift(options)
    assert (report.missing, report.new) == (("gone",), ("new",))
    changes = {name: (each.before, each.after, each.comparable) for name, each in report.retyped.items()}
    assert changes["to_text"][0] == "int64"
    assert "string" in changes["to_text"][1]
    comparable = {"to_text": False, "wider": True, "nulls": True, "day": False}
    assert {name: each[2] for name, each in changes.items()} == comparable
    assert list(report.columns) == ["x", "wider", "nulls"]
    assert report.columns["wider"].verdict is DriftVerdict.NONE_SEEN
    assert report.drifted == ("nulls",)
    assert report.unsettled


def test_lists_are_left_out_and_said(tmp_path: Path) -> None:
    reference = rows(tmp_path, "r", {"x": [1.0, 2.0], "items": [["a"], ["b"]], "ragged": [[1], [2, 3]]})
    report = measure_drift(DriftOptions(reference=reference, current=reference))
    assert report.unsupported == ("items", "ragged")
    assert not report.unsettled
    current = rows(tmp_path, "c", {"x": [1.0, 2.0], "items": [1, 2]})
    changed = measure_drift(DriftOptions(reference=reference, current=current))
    assert not changed.retyped["items"].comparable
    assert changed.unsettled


def test_no_rows_are_inconclusive_on_either_side(tmp_path: Path) -> None:
    some, none = pl.DataFrame(sample(100, 5)), pl.DataFrame(sample(100, 5)).clear()
    some.write_parquet(tmp_path / "some")
    none.write_parquet(tmp_path / "none")
    for reference, current in (("some", "none"), ("none", "some"), ("none", "none")):
        report = measure_drift(DriftOptions(reference=tmp_path / reference, current=tmp_path / current))
        assert {each.verdict for each in report.columns.values()} == {DriftVerdict.INCONCLUSIVE}
        assert report.drifted == ()


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    one, other = rows(tmp_path, "one", {"x": [1]}), rows(tmp_path, "other", {"y": [1]})
    with pytest.raises(SchemaError, match=r"the reference has x \(int64\), the current rows have y \(int64\)"):
        measure_drift(DriftOptions(reference=one, current=other))
    with pytest.raises(NotFoundError, match=r"gone\.parquet"):
        measure_drift(DriftOptions(reference=one, current=tmp_path / "gone.parquet"))
    with pytest.raises(IntegrityError, match="no stored reference"):
        measure_drift(DriftOptions(reference_profile=one, current=one))


def test_everything_wrong_with_the_options_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        DriftOptions(current=tmp_path, save_profile=tmp_path, alpha=1.0, margin=float("nan"))
    assert [each.split(" ")[0] for each in caught.value.problems] == ["give", "--save-profile", "--alpha", "--margin"]


def embeddings(folder: Path, name: str, shift: float, kind: pl.DataType) -> Path:
    chance = np.random.default_rng(len(name))
    held = pl.Series("e", chance.normal(shift, 1, size=(1500, 5)), dtype=pl.Array(pl.Float64, 5)).cast(kind)
    path = folder / f"{name}.parquet"
    pl.DataFrame({"e": held, "x": chance.normal(size=1500)}).write_parquet(path)
    return path


def test_vectors_are_compared_by_their_parts_however_they_are_written(tmp_path: Path) -> None:
    reference = embeddings(tmp_path, "r", 0.0, pl.List(pl.Float32))
    stored = tmp_path / "profile"
    for name, shift, kind in (("calm", 0.0, pl.Array(pl.Float64, 5)), ("moved", 1.0, pl.List(pl.Float64))):
        current = embeddings(tmp_path, name, shift, kind)
        report = measure_drift(DriftOptions(reference=reference, current=current, save_profile=stored))
        parts = ["e", *(f"e direction {i}" for i in range(1, 6))]
        assert list(report.columns) == [*parts, "x"]
        assert bool(report.drifted) == (shift > 0)
        assert set(report.drifted) <= set(parts)
        again = measure_drift(DriftOptions(reference_profile=stored, current=current))
        assert again.columns == report.columns


def test_vectors_of_another_width_are_none_of_these(tmp_path: Path) -> None:
    reference = embeddings(tmp_path, "r", 0.0, pl.List(pl.Float64))
    other = tmp_path / "other.parquet"
    pl.DataFrame({"e": [[1.0, 2.0]] * 500, "x": np.arange(500.0)}).write_parquet(other)
    report = measure_drift(DriftOptions(reference=reference, current=other))
    assert {"e", "e direction 1"} <= set(report.drifted)
    assert int(report.current.columns["e"].counts[-2]) == 500


def test_samples_see_columns_that_move_together_no_longer(tmp_path: Path) -> None:
    chance = np.random.default_rng(9)
    files = []
    for name, apart in (("r", False), ("same", False), ("apart", True)):
        x = chance.normal(size=3000)
        z = x + 0.2 * chance.normal(size=3000)
        at = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2027, 1, 1), "1h", eager=True).head(3000)
        files.append(rows(tmp_path, name, {"x": x, "z": chance.permutation(z) if apart else z, "at": at}))
    calm, moved = (DriftOptions(reference=files[0], current=each) for each in files[1:])
    assert measure_drift(moved).drifted == ()
    for options, told in ((calm, False), (moved, True)):
        found = measure_samples(options, 400)
        assert found.rows == (375, 375)  # every eighth row
        assert found.together is not None
        assert (found.together.mmd.p_value < 0.01, found.together.classifier.p_value < 0.01) == (told, told)
        assert all(each.mmd.p_value > 0.001 for each in found.columns.values())
        assert list(found.columns) == ["x", "z", "at"]


def test_samples_need_rows_to_be_taken_from(tmp_path: Path) -> None:
    few = rows(tmp_path, "few", {"x": [1.0, 2.0]})
    assert measure_samples(DriftOptions(reference=few, current=few), 100).together is None
    with pytest.raises(SettingsError, match="a stored profile has none"):
        measure_samples(DriftOptions(reference_profile=few, current=few), 100)
    with pytest.raises(SettingsError, match="between 80 and 2000"):
        measure_samples(DriftOptions(reference=few, current=few), 10)
