"""Text becomes instants where all of it is ISO 8601, and nothing is guessed where not."""

from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl
import pytest

from anew.adapters.iso_text import iso_problem, parse_iso

NAIVE = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - files without a zone are what is tested
ZONED = NAIVE.replace(tzinfo=UTC)


def text(*values: str | None) -> pl.Series:
    return pl.Series("at", values, dtype=pl.String)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-05-01T12:00", NAIVE),
        ("2024-05-01 12:00:00", NAIVE),
        ("2024-05-01T12:00:00.5", NAIVE.replace(microsecond=500_000)),
        ("2024-05-01T12:00:00,000001999", NAIVE.replace(microsecond=1)),
        ("2024-05-01T12:00Z", ZONED),
        ("2024-05-01T14:00:00+02:00", ZONED),
        ("2024-05-01 06:30:00.000-0530", ZONED),
        ("2024-05-01 14+02", None),
        ("2024-05-01 14:00+02", ZONED),
        ("2024-05-01", date(2024, 5, 1)),
        ("12:30", time(12, 30)),
        ("12:30:01.5", time(12, 30, 1, 500_000)),
    ],
)
def test_each_form_says_what_it_means(written: str, meant: Any) -> None:
    read = parse_iso(text(None, written))
    assert (None if read is None else read.to_list()) == (None if meant is None else [None, meant])


@pytest.mark.parametrize(
    "written",
    [
        "01/02/2026 00:00", "01.02.2026", "2024/05/01", "20240501T120000", "2024-05-01T24:00", "2024-05-01T12:00:60",
        "2024-02-30", "2024-05-01Z", "2024-05-01T12:00+99:00", "2024-05-01T12:00.5", " 2024-05-01", "soon", "25:00",
    ],
)  # fmt: skip
def test_other_forms_are_none_and_the_first_is_named(written: str) -> None:
    assert parse_iso(text(written)) is None
    assert parse_iso(text("2024-05-01", None, written, "never")) is None
    assert iso_problem(text("2024-05-01", None, written, "never")).startswith(f"{written!r} in row 3 is neither a date")


def test_forms_may_differ_but_not_in_whether_they_have_an_offset() -> None:
    several = parse_iso(text("2024-05-01", "2024-05-01T12:00", "2024-05-01 12:00:00.000000"))
    assert several is not None
    assert several.to_list() == [NAIVE.replace(hour=0), NAIVE, NAIVE]
    assert parse_iso(text("2024-05-01T12:00Z", None, "2024-05-01T12:00")) is None
    assert iso_problem(text("2024-05-01T12:00Z", None, "2024-05-01T12:00")) == (
        "'2024-05-01T12:00' in row 3 has no offset from UTC, and others have one"
    )


def test_nothing_is_no_instant_and_no_problem() -> None:
    for each in (text(), text(None)):
        assert parse_iso(each) is None
        assert iso_problem(each) == ""
    assert iso_problem(text("2024-05-01", None)) == ""
