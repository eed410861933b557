"""Who runs on this machine: processes told apart by pid and start time, since pids come back."""

from pathlib import Path

__all__ = ["process_started"]


def process_started(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot, None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    state, *rest = stat[stat.rindex(")") + 2 :].split()
    return None if state in "ZX" else int(rest[18])
