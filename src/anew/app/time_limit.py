"""A limit on how long code of a project may take where it is no job: in the process of a command."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from anew.domain.errors import TrainingError

__all__ = ["at_most"]

_AGAIN_S = 1.0
"""After which it is raised once more, for code that catches everything and goes on."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TrainingError, of the reason ``timeout``, in what takes longer.

    It comes when Python takes its next step: a library that computes for long without one is not interrupted. Only the
    main thread hears of signals; in another one nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_number: int, _frame: FrameType | None) -> None:
        raise TrainingError("timeout", f"it ran longer than its limit of {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
