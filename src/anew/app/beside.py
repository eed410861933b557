"""The processes that run beside a loop and that it never waits for: the mirror and the dashboard."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from anew.app.dashboard import DashboardProcess
from anew.app.mirror import MirrorProcess
from anew.app.settings import Settings

__all__ = ["Beside"]


class Beside:
    """Both, while it is entered.

    Parameters
    ----------
    told
        Hears the address of the dashboard, whenever that is new.
    """

    def __init__(self, settings: Settings, told: Callable[[str], None]) -> None:
        self._mirror = MirrorProcess(settings)
        self._dashboard = DashboardProcess(settings)
        self._told = told
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Take both up."""
        self._stack.enter_context(self._mirror)
        self._stack.enter_context(self._dashboard)
        return self

    def __exit__(self, *_: object) -> None:
        """End both."""
        self._stack.close()

    def keep(self) -> None:
        """Start again what has died, and tell what is new."""
        self._mirror.keep()
        address = self._dashboard.keep()
        if address:
            self._told(address)
