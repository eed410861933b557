"""How far a long run is: written by the run into its folder, read by whoever asks."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

__all__ = [
    "PROGRESS",
    "Counting",
    "Progress",
    "ProgressFile",
    "read_progress",
    "silent",
    "time_left",
    "uncounted",
    "uncounting",
    "write_left",
    "write_progress",
]

PROGRESS = "progress.json"
Counting = Callable[[str], Callable[[int, int], None]]
"""Begins to count a kind of work, given in words; what it returns hears how much is done, and of how much."""
_EVERY_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands.

    Attributes
    ----------
    step
        ``search``, ``fit`` or ``finish``.
    done, of
        Trials that have ended, and trials planned; 0 where there are none to count.
    rows
        Rows that are trained on.
    best
        The best score of a trial so far.
    eta_s
        Seconds that the step will take yet, if it goes on at this pace; None when that is not known.
    """

    step: str
    done: int = 0
    of: int = 0
    rows: int = 0
    best: float | None = None
    eta_s: float | None = None


def silent(progress: Progress) -> None:
    """Tell nobody."""


def uncounted(done: int, of: int) -> None:
    """Tell nobody how much of counted work is done."""


def uncounting(_what: str) -> Callable[[int, int], None]:
    """Begin to count a kind of work, and tell nobody."""
    return uncounted


def time_left(took_s: float, made: int, left: int) -> float | None:
    """Return the seconds that `left` pieces of work will take, if `made` took so long; None before any is made."""
    return took_s / made * left if made else None


def write_left(seconds: float) -> str:
    """Say it in words.

    >>> write_left(12.3)
    'about 12 s left'
    """
    return f"about {seconds:.0f} s left" if seconds < 90 else f"about {round(seconds / 60)} min left"


class ProgressFile:
    """Writes what it is told into a file, a few times a second at most; a full disk costs the file, not the run."""

    def __init__(self, folder: Path, rows: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = folder / PROGRESS
        self._rows = rows
        self._clock = clock
        self._step = ""
        self._began = self._written = float("-inf")
        self._done = 0

    def __call__(self, progress: Progress) -> None:
        """Write it, with the pace since the step began."""
        now = self._clock()
        new = progress.step != self._step
        if new:
            self._step, self._began, self._done = progress.step, now, progress.done
        if not new and now - self._written < _EVERY_S and progress.done < progress.of:
            return
        self._written = now
        eta = time_left(now - self._began, progress.done - self._done, progress.of - progress.done)
        text = json.dumps(asdict(replace(progress, rows=self._rows, eta_s=eta)))
        try:
            draft = self._file.with_suffix(".part")
            draft.write_text(text, encoding="utf-8")
            draft.replace(self._file)
        except OSError:
            return


def read_progress(folder: Path) -> Progress | None:
    """Return what the run in this folder said last; None when it said nothing that can be read."""
    try:
        plain: dict[str, Any] = json.loads((folder / PROGRESS).read_text("utf-8"))
        return Progress(**plain)
    except (OSError, TypeError, ValueError):
        return None


def write_progress(progress: Progress) -> str:
    """Say it in words.

    >>> write_progress(Progress(step="search", done=3, of=20, rows=1000, best=0.25, eta_s=90.0))
    'trial 3 of 20, best 0.25, 1000 rows, about 2 min left'
    """
    if progress.of:
        words = [f"trial {progress.done} of {progress.of}"]
    else:
        words = [{"fit": "fitting", "finish": "proving what was fitted"}.get(progress.step, progress.step)]
    if progress.best is not None:
        words.append(f"best {progress.best:.4g}")
    if progress.rows:
        words.append(f"{progress.rows} rows")
    if progress.eta_s is not None:
        words.append(write_left(progress.eta_s))
    return ", ".join(words)
