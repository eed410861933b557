"""A step taken again and again on a thread, whatever becomes of it."""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from anew.domain.errors import AnewError, ConflictError

__all__ = ["repeating"]

_LOG = logging.getLogger("anew.repeating")
_AGAIN_S = 1.0
_REPEAT_S = 60.0


def repeating(
    name: str,
    step: Callable[[], None],
    pause: float,
    stop: Event,
    *,
    refused: Callable[[ConflictError], None] | None = None,
) -> Thread:
    """Begin a thread that takes `step` every `pause` seconds until `stop` is set; after a failure less often.

    A failure is logged when it begins, each minute that it lasts, and when it ends.

    Parameters
    ----------
    refused
        Hears a conflict, with which it ends; None: a conflict is a failure as others are.
    """

    def run() -> None:
        failing, said_at = False, 0.0
        while not stop.wait(max(pause, _AGAIN_S) if failing else pause):
            try:
                step()
            except Exception as exc:  # noqa: BLE001 - it is tried again: what is beside serving and the loop ends neither
                if refused is not None and isinstance(exc, ConflictError):
                    refused(exc)
                    return
                if not failing or time.monotonic() - said_at >= _REPEAT_S:
                    said_at = time.monotonic()
                    known = isinstance(exc, AnewError | OSError)
                    _LOG.warning("failed step=%s problem=%s", name, exc, exc_info=None if known else exc)
                failing = True
            else:
                if failing:
                    _LOG.warning("works again step=%s", name)
                failing = False

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
