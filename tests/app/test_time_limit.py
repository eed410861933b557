"""A limit on time ends code that would not, whatever that catches, and leaves nothing behind."""

import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from anew.app.time_limit import at_most
from anew.domain.errors import TrainingError

LIMIT = r"timeout: it ran longer than its limit of 0\.05 s"


@pytest.fixture
def alarms() -> Iterator[list[int]]:
    """Hear alarms of our own, with a timer that is far away."""
    heard: list[int] = []

    def hear(number: int, _: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGALRM, hear)
    signal.setitimer(signal.ITIMER_REAL, 900)
    yield heard
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _swallows_what_it_may() -> None:
    for _ in range(3):  # it ends by itself, unheard, where it can swallow the alarm
        try:
            time.sleep(5)
        except Exception:  # noqa: BLE001, S112  as code of a project does
            continue


def _swallows_the_first() -> None:
    try:
        _swallows_what_it_may()
    except BaseException:  # noqa: BLE001  as code of a project does
        _swallows_what_it_may()


@pytest.mark.parametrize("call", [_swallows_what_it_may, _swallows_the_first])
def test_code_that_catches_what_it_meets_is_ended_all_the_same(call: Callable[[], None]) -> None:
    with pytest.raises(TrainingError, match=LIMIT):
        at_most(0.05, call)


def _over() -> None:
    signal.raise_signal(signal.SIGALRM)


def _fails() -> None:
    raise ValueError("its own")


@pytest.mark.parametrize(("call", "error"), [(lambda: None, None), (_over, TrainingError), (_fails, ValueError)])
def test_timer_and_handler_are_those_of_before(
    alarms: list[int], call: Callable[[], Any], error: type[Exception] | None
) -> None:
    if error is None:
        at_most(900, call)
    else:
        with pytest.raises(error):
            at_most(900, call)
    assert 800 < signal.getitimer(signal.ITIMER_REAL)[0] <= 900
    signal.raise_signal(signal.SIGALRM)
    assert alarms == [signal.SIGALRM]


def test_an_alarm_while_the_limit_is_taken_off_is_none(alarms: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    real = signal.setitimer

    def late(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        if seconds == 0:
            signal.raise_signal(signal.SIGALRM)  # it was on its way
        return real(which, seconds, interval)

    monkeypatch.setattr(signal, "setitimer", late)
    assert at_most(900, time.monotonic)
    monkeypatch.undo()
    assert alarms == []
    assert 800 < signal.getitimer(signal.ITIMER_REAL)[0] <= 900
