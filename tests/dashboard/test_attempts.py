"""Failures to sign in: dearer and dearer for whoever fails, and never for good."""

from datetime import UTC, datetime, timedelta

import pytest

from anew.dashboard.attempts import Attempts

AT = datetime(2026, 3, 1, tzinfo=UTC)
NAME, SOURCE = ("name", "admin"), ("source", "10.0.0.1")


def guesses(hours: int, *keys: tuple[str, str]) -> int:
    """Return how many guesses are heard of somebody who guesses every second."""
    attempts, heard = Attempts(), 0
    for second in range(hours * 3_600):
        heard += attempts.begin(AT + timedelta(seconds=second), *keys) == timedelta(0)
    return heard


@pytest.mark.fault("H8")
@pytest.mark.parametrize(("keys", "most"), [((NAME,), 400), ((SOURCE,), 400), ((NAME, SOURCE), 400)])
def test_guessing_all_day_long_is_heard_a_few_hundred_times(keys: tuple[tuple[str, str], ...], most: int) -> None:
    assert 10 < guesses(24, *keys) < most


@pytest.mark.fault("H8")
def test_many_sources_that_guess_at_one_name_are_heard_no_oftener() -> None:
    attempts, heard = Attempts(), 0
    for second in range(24 * 3_600):
        source = ("source", f"10.0.{second % 250}.{second % 241}")
        heard += attempts.begin(AT + timedelta(seconds=second), NAME, source) == timedelta(0)
    assert heard < 400


def test_a_wait_ends_though_others_go_on_trying() -> None:
    attempts, at = Attempts(), AT
    for _ in range(1_000):
        attempts.begin(at, NAME)
        at += timedelta(milliseconds=10)
    wait = attempts.begin(at, NAME)
    assert timedelta(0) < wait <= timedelta(minutes=5)
    for tenth in range(1, 10):
        attempts.begin(at + wait * tenth / 10, NAME)
    assert attempts.begin(at + wait, NAME) == timedelta(0)


def test_a_browser_that_is_known_does_not_wait_for_strangers() -> None:
    attempts = Attempts()
    for second in range(100):
        attempts.begin(AT + timedelta(seconds=second), NAME)
    assert attempts.begin(AT + timedelta(seconds=100), NAME) > timedelta(0)
    assert attempts.begin(AT + timedelta(seconds=100), ("device", "d1")) == timedelta(0)


def test_everybody_mistypes_and_success_is_forgiven() -> None:
    attempts = Attempts()
    for _ in range(50):
        for _ in range(4):
            assert attempts.begin(AT, NAME, SOURCE) == timedelta(0)
            attempts.succeeded(SOURCE)
        assert attempts.begin(AT, NAME, SOURCE) == timedelta(0)
        attempts.succeeded(NAME, SOURCE)


def test_who_tries_at_once_is_heard_no_oftener() -> None:
    attempts = Attempts()
    assert sum(attempts.begin(AT, NAME) == timedelta(0) for _ in range(100)) == 5


def test_what_is_remembered_is_bounded() -> None:
    attempts = Attempts()
    for number in range(20_000):
        attempts.begin(AT, ("name", str(number)))
    assert len(attempts._kept) == 10_000


def test_a_clock_that_is_set_back_draws_no_wait_out() -> None:
    attempts, before = Attempts(), AT - timedelta(days=365)
    while attempts.begin(AT, NAME) == timedelta(0):
        pass
    wait = attempts.begin(before, NAME)
    assert timedelta(0) < wait <= timedelta(minutes=5)
    assert attempts.begin(before + wait, NAME) == timedelta(0)
