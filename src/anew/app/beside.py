"""What runs beside a loop and is never waited for: mirror, dashboard, numbers for Prometheus, Label Studio."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from anew.app.dashboard import DashboardProcess
from anew.app.labelling import LabellingThread
from anew.app.metering import Metering
from anew.app.mirror import MirrorProcess
from anew.app.settings import Settings

__all__ = ["Beside"]


class Beside:
    """All of them, while it is entered.

    Parameters
    ----------
    told
        Hears the address of the dashboard, whenever that is new.
    pages
        Is there a dashboard, where the policy wants one?
    """

    def __init__(self, settings: Settings, told: Callable[[str], None], *, pages: bool = True) -> None:
        self._mirror = MirrorProcess(settings)
        self._dashboard = DashboardProcess(settings, wanted=pages)
        self._metering = Metering(settings)
        self._labelling = LabellingThread(settings)
        self._told = told
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Take them up."""
        self._stack.enter_context(self._mirror)
        self._stack.enter_context(self._dashboard)
        self._stack.enter_context(self._metering)
        self._stack.enter_context(self._labelling)
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        self._stack.close()

    def keep(self) -> None:
        """Start again what has died, and tell what is new."""
        self._mirror.keep()
        address = self._dashboard.keep()
        if address:
            self._told(address)
