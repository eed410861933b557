"""Orders to gateways that are not there: workers say what they are told to say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from anew.domain.errors import NotFoundError
from anew.domain.facts.rollout import TrafficOrdered, TrafficShifted
from anew.ports.traffic import WorkerStatus

__all__ = ["FakeTraffic", "worker_status"]


def worker_status(worker: str, *, epoch: int = 0, model: str = "m") -> WorkerStatus:
    """Return the report of a worker that has nothing to complain of."""
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return WorkerStatus(model=model, worker=worker, pid=1, started=1, port=1, at=at, epoch=epoch)


@dataclass(slots=True)
class FakeTraffic:
    """A `Traffic` in memory.

    Attributes
    ----------
    obedient
        Do workers take over what is published at once?
    orders
        Every order that was published, those that came too late included.
    beats
        How often the control plane said that it is alive.
    """

    obedient: bool = True
    orders: list[TrafficShifted] = field(default_factory=list)
    beats: int = 0
    _published: dict[str, TrafficShifted] = field(default_factory=dict)
    _workers: dict[str, WorkerStatus] = field(default_factory=dict)
    _ordered: dict[str, tuple[TrafficOrdered, ...]] = field(default_factory=dict)

    def publish(self, routing: TrafficShifted) -> None:
        """Keep the order unless a newer one is in force."""
        self.orders.append(routing)
        present = self._published.get(routing.model)
        if present is None or present.epoch < routing.epoch:
            self._published[routing.model] = routing
            self._ordered.pop(routing.model, None)
            if self.obedient:
                self.obey(routing.model)

    def order(self, model: str, make: Callable[[TrafficShifted], TrafficOrdered]) -> TrafficOrdered:
        """Replace what is published by the order that is made of it."""
        if model not in self._published:
            raise NotFoundError(f"{model} was never served")
        order = make(self._published[model])
        names = ("model", "at", "id", "epoch", "stage", "share", "champion", "challenger", "fallback")
        self._published[model] = TrafficShifted(**{name: getattr(order, name) for name in names})
        self._ordered[model] = (*self._ordered.get(model, ()), order)
        if self.obedient:
            self.obey(model)
        return order

    def ordered(self, model: str) -> Sequence[TrafficOrdered]:
        """Return the orders since the last `publish`."""
        return self._ordered.get(model, ())

    def obey(self, model: str) -> None:
        """Let every worker of `model` take over what is published."""
        for name, status in self._workers.items():
            if status.model == model:
                self._workers[name] = replace(status, epoch=self._published[model].epoch)

    def published(self, model: str) -> TrafficShifted | None:
        """Return the order in force."""
        return self._published.get(model)

    def applied(self, model: str) -> tuple[int, int]:
        """Return (workers, smallest epoch that they answer by)."""
        epochs = [status.epoch for status in self.workers(model)]
        return len(epochs), min(epochs, default=0)

    def report(self, status: WorkerStatus) -> None:
        """Replace what is known of a worker."""
        self._workers[status.worker] = status

    def workers(self, model: str) -> Sequence[WorkerStatus]:
        """Return what the workers of `model` said last."""
        return [status for _, status in sorted(self._workers.items()) if status.model == model]

    def beat(self) -> None:
        """Count."""
        self.beats += 1

    def beaten_s(self) -> float | None:
        """Return 0 once it has beaten."""
        return 0.0 if self.beats else None
