"""The clock of this machine."""

import time
from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """Reads the machine's clocks. Thread-safe."""

    def now(self) -> datetime:
        """Return the present instant, timezone-aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an unknown start, which never run backwards."""
        return time.monotonic()
