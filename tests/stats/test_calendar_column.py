"""Columns that follow the calendar are recognised; what only looks like it is not."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from anew.stats.calendar_column import calendar_columns


def hours(n: int, start: datetime = datetime(2024, 1, 1)) -> np.ndarray:  # noqa: DTZ001  numpy's are UTC, without saying so
    return np.array([start + timedelta(hours=i) for i in range(n)], dtype="datetime64[us]")


def what(values: np.ndarray, at: np.ndarray) -> str:
    return calendar_columns({"x": values}, at).get("x", "")


AT = hours(24 * 60)
HOUR = (np.arange(len(AT)) % 24).astype(np.float64)
WEEKDAY = np.arange(len(AT)) // 24 % 7
YEARS = hours(24 * 365 * 3 + 24)
DAY = np.arange(len(YEARS)) // 24


@pytest.mark.parametrize(
    ("values", "at", "follows"),
    [
        (HOUR, AT, "the hour of the day"),
        (np.cos(HOUR * np.pi / 12), AT, "the hour of the day"),
        (np.where(HOUR >= 18, 1.0, 0.0), AT, "the hour of the day"),
        (np.where(HOUR == 3, np.nan, HOUR), AT, "the hour of the day"),
        (WEEKDAY.astype(np.float64), AT, "the day of the week"),
        ((WEEKDAY >= 5).astype(np.int64), AT, "the day of the week"),
        (1.0 + np.arange(len(AT)) // (24 * 31), AT, "the month"),
        (YEARS.astype("datetime64[M]").astype(np.int64) % 12, YEARS, "the month"),
        (np.sin(2 * np.pi * DAY / 365.25), YEARS, "the day of the year"),
        (1970.0 + YEARS.astype("datetime64[Y]").astype(np.int64), YEARS, "the year"),
        (np.arange(len(AT)) * 3.0 + 7, AT, "the time"),
        (-np.arange(len(AT)) - np.random.default_rng(1).random(len(AT)), AT, "the time"),
    ],
)
def test_what_follows_the_calendar_is_named(values: np.ndarray, at: np.ndarray, follows: str) -> None:
    assert what(values, at) == follows


def walk(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n).cumsum()


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(2).normal(size=len(AT)),
        np.random.default_rng(3).integers(0, 5, len(AT)),
        np.ones(len(AT)),
        np.zeros(len(AT), dtype=np.int64),
        np.repeat(walk(60, 4), 24),
        np.repeat(np.arange(60) // 20, 24),
        10 + 5 * np.sin(HOUR * np.pi / 12) + np.random.default_rng(5).normal(size=len(AT)),
        np.where(np.arange(len(AT)) > 1300, 1.0, 0.0),
        np.full(len(AT), np.nan),
        np.full(len(AT), -1),
        np.where(np.arange(len(AT)) < 40, HOUR, np.nan),
        np.where(np.arange(len(AT)) == 7, 1e300, 0.0),
    ],
    ids=["noise", "levels", "constant", "one level", "daily walk", "versions", "half explained", "a step", "missing",
         "missing levels", "too few", "one spike"],
)  # fmt: skip
def test_what_does_not_is_left(values: np.ndarray) -> None:
    assert what(values, AT) == ""


def test_a_slow_season_of_one_year_is_not_taken_for_calendar() -> None:
    """Constant within a day, never seen twice: it may be anything."""
    at = hours(24 * 300)
    assert what(np.repeat(walk(300, 6), 24), at) == ""


def test_random_walks_are_no_calendar() -> None:
    assert not any(what(walk(len(AT), seed), AT) for seed in range(30))


def test_no_rows_say_nothing() -> None:
    assert calendar_columns({"x": np.zeros(0)}, hours(0)) == {}
