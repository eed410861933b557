"""Kills this very process at a named boundary, when the environment asks for it: to test what a crash leaves behind."""

import os
import re
import signal
from collections.abc import Mapping
from threading import Lock

from anew.domain.boundary import hook
from anew.domain.errors import SettingsError

__all__ = ["VARIABLE", "install"]

VARIABLE = "ANEW_KILL"
"""``name:nth``: SIGKILL at the nth time that the boundary `name` is reached, counted from 1."""


def install(environment: Mapping[str, str] = os.environ) -> bool:
    """Do what `VARIABLE` says from now on, and return whether it says anything.

    Raises
    ------
    SettingsError
        It is not of the form ``name:nth``.
    """
    asked = environment.get(VARIABLE, "")
    if not asked:
        return False
    match = re.fullmatch(r"([a-z_]+\.[a-z_]+):([1-9][0-9]*)", asked)
    if match is None:
        raise SettingsError(f"{VARIABLE} is {asked!r}; write name:nth, e.g. eventlog.before_commit:1, or unset it")
    hook(_Killer(match[1], int(match[2])))
    return True


class _Killer:
    def __init__(self, name: str, nth: int) -> None:
        self._name = name
        self._left = nth
        self._lock = Lock()

    def __call__(self, name: str) -> None:
        if name != self._name:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
