"""Running what a fact asked for: durably, at least once, never twice at once."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Effects", "PostponedRun", "Steps", "Work"]


class PostponedRun(BaseException):
    """What a run needs is not there, as `Work.run` or one of its `Steps` found: let it pass.

    It is no failed attempt: its checkpoints are kept, and it goes on once the effect is asked for again. No Exception,
    so that nothing takes it for a failure.
    """


class Steps(Protocol):
    """The checkpoints of one running effect.

    A step's result is on disk before the next step begins; after a crash the effect runs again from its start, and
    steps that have a result return it without being run. A crash between a step's side effect and its checkpoint runs
    that step twice, so every step reads before it writes. Which step comes next must follow from the fact and from
    the results of the steps before it alone.

    When the process is about to stop, both methods raise a BaseException that ends the run without a result; it is
    resumed later. Let it pass.
    """

    def run(self, name: str, function: Callable[[], str]) -> str:
        """Return the result of the step `name`, running `function` if it has none yet.

        `name` may come again within an effect (a poll in a loop). What `function` raises passes through; let it end
        the run, which is then tried again from its first step. A step that may fail without harm (a poll) returns that
        it did.
        """
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; after a crash only for what is left of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the loop gives to those who run its effects. All are called from other threads.

    Attributes
    ----------
    run
        Does the effect that the fact with this id asked for and submits the fact that ends it; without effect when it
        has ended already. What it raises makes the run a failed attempt, save `PostponedRun`.
    pending
        Ids of the facts whose effects were asked for and have not ended.
    exhausted
        Told once per process that the effect of this fact has failed too often and will not be tried again.
    settled
        Is it known that this fact, when it is not pending, needs no attempt again? Else those on record are kept.
    """

    run: Callable[[str, Steps], None]
    pending: Callable[[], Collection[str]]
    exhausted: Callable[[str], None]
    settled: Callable[[str], bool] = lambda _: True


class Effects(Protocol):
    """Runs effects in the background. Thread-safe."""

    def start(self) -> None:
        """Begin to run what is pending or was left behind by a process that died; call it as holder of the lease."""
        ...

    def ask(self, fact_id: str) -> None:
        """Have the effect of this fact run; without effect while it waits or runs, or waits out a failed attempt.

        What is pending is asked for periodically anyway: this only makes it begin at once.
        """
        ...

    def active(self) -> frozenset[str]:
        """Return the ids of the facts whose effects wait or run now."""
        ...

    def close(self) -> None:
        """Stop: effects end their present step and are resumed by the next process."""
        ...
