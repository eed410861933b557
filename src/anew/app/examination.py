"""What `anew doctor --quick` finds, looked at in the background and again when that is long ago."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock, Thread

from anew.adapters.system_clock import SystemClock
from anew.app.doctor import examine
from anew.domain.health import Finding

__all__ = ["Examination"]

_GOOD_FOR = timedelta(minutes=5)


class Examination:
    """The last one of a project, never waited for. Thread-safe."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._clock = SystemClock()
        self._lock = Lock()
        self._at: datetime | None = None
        self._found: Sequence[Finding] = ()
        self._looking = False

    def last(self) -> tuple[datetime | None, Sequence[Finding]]:
        """Return when it was and what it found; begin another when there was none, or it is long ago."""
        with self._lock:
            if not self._looking and (self._at is None or self._clock.now() - self._at > _GOOD_FOR):
                self._looking = True
                Thread(target=self._look, name="examination", daemon=True).start()
            return self._at, self._found

    def _look(self) -> None:
        try:
            found = examine(self._project, quick=True)
            with self._lock:
                self._at, self._found = self._clock.now(), found
        finally:
            with self._lock:
                self._looking = False
