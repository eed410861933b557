"""A limit on how long code of a project may take where it is no job: in the process of a command."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from anew.domain.errors import TrainingError

__all__ = ["at_most"]

T = TypeVar("T")
_AGAIN_S = 1.0
"""After which it is raised once more, for code that catches even what is no Exception."""


class _Over(BaseException):
    """The time is over: no Exception, which code of a project may catch and go on."""


def at_most(seconds: float, call: Callable[[], T]) -> T:
    """Return what `call` does; raise TrainingError, of the reason ``timeout``, when it takes longer.

    It comes when Python takes its next step: a library that computes for long without one is not interrupted. Only the
    main thread hears of signals; in another one nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    done = False

    def end(_number: int, _frame: FrameType | None) -> None:
        if not done:
            raise _Over

    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    try:
        try:
            signal.signal(signal.SIGALRM, end)
            signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_S)
            return call()
        finally:
            done = True  # an alarm before this is told below, a later one is none: the next line is not interrupted
    except _Over as exc:
        done = True
        raise TrainingError("timeout", f"it ran longer than its limit of {seconds:g} s") from exc
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)
