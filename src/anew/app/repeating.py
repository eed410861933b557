"""A step taken again and again on a thread, whatever becomes of it."""

import logging
from collections.abc import Callable
from threading import Event, Thread

from anew.domain.errors import AnewError, ConflictError

__all__ = ["repeating"]

_LOG = logging.getLogger("anew.repeating")
_AGAIN_S = 1.0


def repeating(
    name: str,
    step: Callable[[], None],
    pause: float,
    stop: Event,
    *,
    refused: Callable[[ConflictError], None] | None = None,
) -> Thread:
    """Begin a thread that takes `step` every `pause` seconds until `stop` is set; after a failure less often.

    A failure is logged when it begins and when it ends.

    Parameters
    ----------
    refused
        Hears a conflict, with which it ends; None: a conflict is a failure as others are.
    """

    def run() -> None:
        told = ""
        while not stop.wait(max(pause, _AGAIN_S) if told else pause):
            problem = ""
            try:
                step()
            except Exception as exc:  # noqa: BLE001 - it is tried again: what is beside serving and the loop ends neither
                if refused is not None and isinstance(exc, ConflictError):
                    refused(exc)
                    return
                problem = str(exc) or type(exc).__name__
                if not isinstance(exc, AnewError | OSError):
                    _LOG.error("step_failed step=%s", name, exc_info=exc)
            if problem != told:
                told = problem
                (_LOG.warning if problem else _LOG.info)("step=%s problem=%s", name, problem)

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
