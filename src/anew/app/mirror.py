"""Keeps the process that mirrors a project into MLflow, and says how that stands."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Self

from anew.app.mirror_status import STATUS, mirror_status
from anew.app.secret import is_reference, read_secret
from anew.app.settings import Settings
from anew.domain.errors import SettingsError

__all__ = ["MirrorProcess", "mirror_place"]

_LOG = logging.getLogger("anew.mirror")
_AGAIN_S = 10.0


def mirror_place(settings: Settings) -> tuple[str, Path | None]:
    """Return the URI of the project's MLflow, and for a local one the folder of its artifacts.

    Raises
    ------
    SettingsError
        It is neither ``mlflow`` nor a URL, nor a reference to one.
    """
    told = settings.policy.stores.registry
    if told == "mlflow":
        return f"sqlite:///{settings.state.resolve() / 'mlflow.db'}", settings.state / "mlflow"
    url = read_secret(told, settings.root) if is_reference(told) else told
    if not url.startswith(("http://", "https://")):
        where = settings.document.where(("stores", "registry"))
        raise SettingsError(f"{where}: stores.registry: write none, mlflow, an http URL, or env:NAME of one")
    return url, None


class MirrorProcess:
    """Runs while it is entered, where the project asks for a mirror; started again when it dies, never waited for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asked = settings.policy.stores.registry != "none"
        if self._asked:
            mirror_place(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._again_at = 0.0
        self._told: tuple[str, str] = ("", "")

    def __enter__(self) -> Self:
        """Forget how it stood before."""
        (self._settings.state / STATUS).unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End it; what it has not shown yet it shows the next time."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def keep(self) -> None:
        """Start it when it is not there, and say when it changed how it stands."""
        if not self._asked:
            return
        if (self._process is None or self._process.poll() is not None) and monotonic() >= self._again_at:
            self._again_at = monotonic() + _AGAIN_S
            self._start()
        status = mirror_status(self._settings.state) or {"state": "", "detail": ""}
        told = (status["state"], status["detail"])
        if told != self._told:
            self._told = told
            (_LOG.info if told[0] in ("", "in_sync") else _LOG.warning)("mirror state=%s detail=%s", *told)

    def _start(self) -> None:
        logs = self._settings.state / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / "mirror.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
                [sys.executable, "-P", "-m", "anew.app.mirror_worker", str(self._settings.root), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
