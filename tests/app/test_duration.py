"""Durations, rates and counts are read as people write them, and nothing else is."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.app.duration import parse_count, parse_duration, parse_rate
from anew.domain.duration import write_duration
from anew.domain.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("5min", 300), (" 12 h ", 43200), ("1.5d", 129600), ("2w", 1209600)],
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "12", "h", "-1h", "1 hour", "1h30m", "1e3s", "nan s", "9" * 30 + "w", "٣h d", 5])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 10**13))
def test_what_is_written_is_read_back(micros: int) -> None:
    length = timedelta(microseconds=micros)
    assert parse_duration(write_duration(length)) == length


def test_rates_are_a_number_per_period() -> None:
    assert parse_rate("8 per 7d") == (8, timedelta(days=7))


@pytest.mark.parametrize(
    "text", ["8", "8 per", "x per 7d", "8 per 0d", "8 per week", "-1 per 1d", "9" * 400 + " per 7d", None]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_rate(text)


@pytest.mark.parametrize(("text", "count"), [("3 windows", 3), ("1 window", 1), (4, 4)])
def test_counts_have_their_noun(text: str | int, count: int) -> None:
    assert parse_count(text, "window") == count


@pytest.mark.parametrize(
    "text", ["0 windows", 0, True, "3 weeks", "windows", "-1 windows", "9" * 5000 + " windows", 1.5]
)
def test_what_is_no_count_is_refused(text: str | int) -> None:
    with pytest.raises(SettingsError, match="3 windows"):
        parse_count(text, "window")
