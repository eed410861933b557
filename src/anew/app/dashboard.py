"""Keeps the process that serves a project's pages."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Self

from anew.app.dashboard_status import STATUS, dashboard_address
from anew.app.settings import Settings

__all__ = ["DashboardProcess"]

_LOG = logging.getLogger("anew.dashboard")
_AGAIN_S = 5.0


class DashboardProcess:
    """Runs while it is entered, where the project has a dashboard; started again when it dies, never waited for."""

    def __init__(self, settings: Settings, *, wanted: bool = True) -> None:
        self._root, self._state = settings.root, settings.state
        self._wanted = wanted and settings.policy.dashboard.serve
        self._process: subprocess.Popen[bytes] | None = None
        self._again_at = 0.0
        self._told = ""

    def __enter__(self) -> Self:
        """Forget the last one."""
        (self._state / STATUS).unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End it; nobody's work is lost with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        (self._state / STATUS).unlink(missing_ok=True)

    def keep(self) -> str:
        """Start it when it is not there; return its address once, when that is new, else nothing."""
        if not self._wanted:
            return ""
        if (self._process is None or self._process.poll() is not None) and monotonic() >= self._again_at:
            if self._process is not None:
                _LOG.warning("the dashboard ended with code %s; see %s", self._process.returncode, self._log)
            self._again_at = monotonic() + _AGAIN_S
            self._start()
        address = dashboard_address(self._state)
        if not address or address == self._told:
            return ""
        self._told = address
        return address

    @property
    def _log(self) -> Path:
        return self._state / "logs" / "dashboard.log"

    def _start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
                [sys.executable, "-P", "-m", "anew.app.dashboard_worker", str(self._root), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
            )
