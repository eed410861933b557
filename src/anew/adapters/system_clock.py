"""The clock of this machine."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["SystemClock"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")
# Linux alone names its boots; elsewhere a reading may be from before the last one, which its reader has to notice.
_EPOCH = _BOOT.read_text("ascii").strip() if _BOOT.exists() else sys.platform


class SystemClock:
    """Reads the machine's clocks. Thread-safe."""

    def now(self) -> datetime:
        """Return the present instant, timezone-aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since the machine started, suspended ones too where the system counts them."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()

    def epoch(self) -> str:
        """Return the name of this run of the machine."""
        return _EPOCH
