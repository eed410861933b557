"""Kills this very process at boundaries, when the environment asks for it: to test what a crash leaves behind."""

import logging
import os
import random
import re
import signal
import time
from collections.abc import Mapping
from threading import Lock

from anew.domain.boundary import hook
from anew.domain.errors import SettingsError

__all__ = ["CHAOS", "VARIABLE", "install"]

_LOG = logging.getLogger("anew.chaos")

VARIABLE = "ANEW_KILL"
"""``name:nth``: SIGKILL at the nth time that the boundary `name` is reached, counted from 1."""
CHAOS = "ANEW_CHAOS"
"""A seed: at any boundary SIGKILL, one time in 30, or a pause up to 50 ms, one in ten, drawn from seed and pid."""
_KILLS, _PAUSES, _LONGEST_S = 1 / 30, 1 / 10, 0.05


def install(environment: Mapping[str, str] = os.environ) -> bool:
    """Do what `VARIABLE` or else `CHAOS` says from now on, and return whether either says anything.

    Raises
    ------
    SettingsError
        It is not of the form ``name:nth``, or no seed.
    """
    asked, seed = environment.get(VARIABLE, ""), environment.get(CHAOS, "")
    if not asked and seed:
        if not re.fullmatch(r"[0-9]{1,18}(/[0-9]{1,9})?", seed):
            raise SettingsError(f"{CHAOS} is {seed!r}; write a number, or number/pid as it is logged to have it again")
        drawn_from = seed if "/" in seed else f"{seed}/{os.getpid()}"
        _LOG.warning("chaos seed=%s: this process is killed at random", drawn_from)
        hook(_Chaos(random.Random(drawn_from)))  # noqa: S311  no secret
        return True
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


class _Chaos:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lock = Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            drawn, pause_s = self._chance.random(), self._chance.uniform(0, _LONGEST_S)
        if drawn < _KILLS:
            _LOG.warning("chaos kills at=%s", name)
            os.kill(os.getpid(), signal.SIGKILL)
        elif drawn < _KILLS + _PAUSES:
            time.sleep(pause_s)
