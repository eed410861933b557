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
def test_control_who_is_counted_for_each_guess_anew_is_heard_every_second() -> None:
    attempts = Attempts()
    heard = [attempts.begin(AT + timedelta(seconds=n), ("name", f"n{n}")) == timedelta(0) for n in range(3_600)]
    assert all(heard)


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
            attempts.succeeded(AT, SOURCE)
        assert attempts.begin(AT, NAME, SOURCE) == timedelta(0)
        attempts.succeeded(AT, NAME, SOURCE)


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


def test_who_signs_in_draws_out_no_wait_of_others_at_the_same_place() -> None:
    attempts, at = Attempts(), AT
    while (wait := attempts.begin(at, SOURCE)) == timedelta(0):
        pass
    at += wait
    assert attempts.begin(at, SOURCE) == timedelta(0)
    attempts.succeeded(at, SOURCE)
    assert attempts.begin(at, SOURCE) == timedelta(0), "the place is as it was before"
    assert attempts.begin(at, SOURCE) > timedelta(0), "the control: who fails there draws it out"


def test_successes_at_a_place_forgive_it_no_failure() -> None:
    attempts, at = Attempts(), AT
    for _ in range(60):
        at += attempts.begin(at, SOURCE)
        attempts.begin(at, SOURCE)
    for _ in range(60):
        at += timedelta(minutes=5)
        assert attempts.begin(at, SOURCE) == timedelta(0)
        attempts.succeeded(at, SOURCE)
        if at - AT > timedelta(minutes=12):
            break
    at += timedelta(minutes=5)
    attempts.begin(at, SOURCE)
    assert attempts.begin(at, SOURCE) == timedelta(minutes=5)


def test_an_attempt_that_was_none_is_taken_back() -> None:
    attempts = Attempts()
    for _ in range(100):
        assert attempts.begin(AT, NAME, SOURCE) == timedelta(0)
        attempts.withdraw(AT, NAME, SOURCE)
    assert not attempts._kept
    for _ in range(5):
        attempts.begin(AT, NAME)
    for second in range(1, 9):
        at = AT + timedelta(seconds=second)
        assert attempts.begin(at, NAME) == timedelta(0), "the control: one more that failed has to wait"
        attempts.withdraw(at, NAME)
