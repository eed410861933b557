"""Orders to the gateways: which version answers what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from anew.domain.facts.rollout import TrafficOrdered, TrafficShifted

__all__ = ["Traffic", "VersionHealth", "WorkerStatus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionHealth:
    """How a champion or challenger has behaved at one worker since that worker began to ask it.

    Attributes
    ----------
    asked
        Rows that it was asked for.
    failed
        Rows without a usable answer, by reason: ``deadline``, ``crashed``, ``error``, ``nonsense``, ``overload``; or
        ``load`` for a challenger that could not even be loaded.
    recent_asked, recent_failed
        The same of the last rows alone, by which it trips; of a champion without the rows that the fallback could not
        answer either, which are no fault of the version.
    latency
        Times of its answers in ms: entry `i` counts those up to ``0.1 * 2 ** (i / 4)``, the last one all above.
    tripped
        Why it fails too often, empty while it does not; a newer epoch ends that. Meanwhile the worker does not ask it,
        unless it is a champion and there is nobody to answer in its place.
    cpu_s
        CPU seconds of the processes that a challenger has of its own here; 0 of a champion, which has none.
    """

    version: str
    asked: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    recent_asked: int = 0
    recent_failed: int = 0
    latency: tuple[int, ...] = ()
    tripped: str = ""
    cpu_s: float = 0.0

    def latency_ms(self, share: float) -> float | None:
        """Return the time in which `share` of its answers came, rounded up to the grid; None of no answers."""
        left = share * sum(self.latency)
        for i, count in enumerate(self.latency):
            left -= count
            if count and left <= 0:
                return float(0.1 * 2 ** (i / 4))
        return None

    def slower(self, limit_ms: float) -> int:
        """Return how many of its answers certainly took longer than `limit_ms`."""
        return sum(count for i, count in enumerate(self.latency) if i and 0.1 * 2 ** ((i - 1) / 4) >= limit_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What a gateway worker says about itself, about once a second and after every swap.

    Attributes
    ----------
    started
        Start time of the process in clock ticks since boot: tells it from another one with the same pid.
    host
        Which replica of the gateway it belongs to, and its name begins with; empty: it runs beside the loop.
    epoch
        Of the routing that it answers by, 0 before the first.
    refused, problem
        Epoch of the routing that it could not apply (0: none) and why; it goes on with `epoch` and tries again.
    champion, challenger
        How these behave; None while there is none.
    rivals
        The same of the further arms of a trial.
    side
        The set of workers that it belongs to, where there are two; else empty.
    unfit
        Why the fallback cannot answer here whatever is tried, e.g. for columns that requests do not carry; or empty.
    counts
        Since its start: ``predictions``, ``labels``, ``dropped``, ``fallbacks``, ``refusals``, ``champion_failed`` …
    latency
        Times of its replies, on the grid of `VersionHealth.latency`.
    """

    model: str
    worker: str
    pid: int
    started: int
    port: int
    at: datetime
    epoch: int
    refused: int = 0
    problem: str = ""
    champion: VersionHealth | None = None
    challenger: VersionHealth | None = None
    rivals: tuple[VersionHealth, ...] = ()
    side: str = ""
    host: str = ""
    unfit: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    latency: tuple[int, ...] = ()

    @property
    def challengers(self) -> tuple[VersionHealth, ...]:
        """How everyone on probation behaves."""
        return () if self.challenger is None else (self.challenger, *self.rivals)


class Traffic(Protocol):
    """Publishes routing to all gateway workers. Process-safe; an epoch not above the published one changes nothing."""

    def publish(self, routing: TrafficShifted) -> None:
        """Make `routing` the order of its model, signed and durable on return; a smaller epoch is ignored."""
        ...

    def published(self, model: str) -> TrafficShifted | None:
        """Return the order in force, verified, or None when there is none yet.

        Raises
        ------
        IntegrityError
            The record was altered or signed with another key.
        """
        ...

    def order(self, model: str, make: Callable[[TrafficShifted], TrafficOrdered]) -> TrafficOrdered:
        """Put what `make` makes of the order in force into its place, signed and durable on return, and return it.

        It is kept beside the routing until a later `publish`, for the record to hear of it.

        Raises
        ------
        NotFoundError
            Nothing was ever published for this model.
        """
        ...

    def ordered(self, model: str) -> Sequence[TrafficOrdered]:
        """Return the orders since the last `publish`, oldest first; cheap while nothing changes."""
        ...

    def applied(self, model: str) -> tuple[int, int]:
        """Return (workers alive, smallest epoch that they answer by); (0, 0) when none is alive."""
        ...

    def report(self, status: WorkerStatus) -> None:
        """Replace what is known of this worker."""
        ...

    def workers(self, model: str) -> Sequence[WorkerStatus]:
        """Return the last report of each worker of `model` that is alive, by name.

        One that runs here is alive as long as its process is; one of another host while it is heard.
        """
        ...

    def beat(self) -> None:
        """Say that the control plane is alive; it does so every few seconds."""
        ...

    def beaten_s(self) -> float | None:
        """Return how many seconds ago the control plane last said so, None for never."""
        ...
