"""Running what a fact asked for: durably, at least once, never twice at once."""

from collections.abc import Callable
from typing import Protocol

__all__ = ["Effects", "Steps"]


class Steps(Protocol):
    """The checkpoints of one running effect.

    A step's result is on disk before the next step begins; after a crash the effect runs again from its start, and
    steps that have a result return it without being run. A crash between a step's side effect and its checkpoint runs
    that step twice, so every step reads before it writes. The order of steps must follow from their results alone.
    """

    def run(self, name: str, function: Callable[[], str]) -> str:
        """Return the result of the step `name`, running `function` if it has none yet.

        `name` may come again within an effect (a poll in a loop). What `function` raises passes through and is
        no checkpoint.
        """
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; after a crash only for what is left of it."""
        ...


class Effects(Protocol):
    """Runs effects in the background. Thread-safe; `ask` is idempotent by fact id."""

    def start(self) -> None:
        """Begin to run what was asked for, in this process or before a crash of an earlier one."""
        ...

    def ask(self, fact_id: str) -> None:
        """Have the effect of this fact run until it ends; without effect while it is active.

        Asking again for an effect whose run failed counts as its next attempt.
        """
        ...

    def active(self) -> frozenset[str]:
        """Return the ids of the facts whose effects wait or run now."""
        ...

    def close(self) -> None:
        """Stop taking up effects; those that run are left to be resumed."""
        ...
