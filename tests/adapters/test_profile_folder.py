"""Profiles of windows in files: the same back, added up over a period, and nothing made of what cannot be read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from anew.adapters.profile_folder import ProfileFolder
from anew.domain.errors import UnavailableError
from anew.domain.interval import Interval
from anew.stats.profile import Profile, Reference

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
RNG = np.random.default_rng(3)
REFERENCE = Reference.fit({"x": RNG.normal(size=500), "c": np.array(["a", "b"] * 250)})
ROWS = [{"x": RNG.normal(size=40), "c": np.array(["a", "b", "z", "a"] * 10)} for _ in range(5)]


def day(number: int) -> Interval:
    return Interval(start=BEGIN + number * DAY, end=BEGIN + (number + 1) * DAY)


@pytest.fixture
def folder(tmp_path: Path) -> ProfileFolder:
    made = ProfileFolder(tmp_path)
    for number in (3, 0, 4, 1, 2):
        made.put("d1", day(number), f"rows{number}", REFERENCE.profile(ROWS[number]).to_bytes())
    return made


def test_what_was_stored_comes_back_to_the_last_bit(folder: ProfileFolder) -> None:
    assert folder.get("d1", day(2), "rows2") == REFERENCE.profile(ROWS[2]).to_bytes()


def test_other_rows_another_window_or_version_have_none(folder: ProfileFolder) -> None:
    assert folder.get("d1", day(2), "rows3") is None
    assert folder.get("d1", day(7), "rows2") is None
    assert folder.get("d2", day(2), "rows2") is None


def test_the_windows_of_a_period_add_up_to_its_rows(folder: ProfileFolder) -> None:
    found = list(folder.within("d1", Interval(start=day(1).start, end=day(3).end)))
    assert [window for window, _ in found] == [day(1), day(2), day(3)]
    first, second, third = (Profile.from_bytes(packed) for _, packed in found)
    whole = first + second + third
    together = REFERENCE.profile({name: np.concatenate([ROWS[k][name] for k in (1, 2, 3)]) for name in ("x", "c")})
    assert whole.n == together.n == 120
    for name in ("x", "c"):
        assert whole.columns[name].counts.tolist() == together.columns[name].counts.tolist()
    assert list(folder.within("d2", day(1))) == []
    assert [window for window, _ in folder.within("d1", Interval(start=day(1).start, end=day(2).end - DAY / 2))] == [
        day(1)
    ]


def test_a_folder_or_a_file_that_is_not_there_is_none(folder: ProfileFolder, tmp_path: Path) -> None:
    (path,) = tmp_path.glob("d1/*rows2.profile")
    path.unlink()
    assert folder.get("d1", day(2), "rows2") is None
    assert ProfileFolder(tmp_path / "nowhere").get("d1", day(2), "rows2") is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError):
        ProfileFolder(tmp_path / "file").put("d1", day(0), "rows", b"packed")
