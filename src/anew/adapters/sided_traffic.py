"""The routing as one of two sets of workers serves it; which of them answers stands in a file that both share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from anew.adapters.file_lock import locked
from anew.adapters.file_traffic import FileTraffic
from anew.domain.errors import UnavailableError
from anew.domain.facts.rollout import TrafficOrdered, TrafficShifted
from anew.ports.traffic import WorkerStatus
from anew.rollout import Side, Sides, held_by, sides_after

__all__ = ["SidedTraffic"]


def _nothing() -> None:
    return None


@dataclass(slots=True)
class SidedTraffic:
    """A `Traffic` for the workers of `side`. What it routes to is named in the signed routing, whatever the file says.

    Attributes
    ----------
    left
        Is called, at once, when this set is to answer no more.
    answers_from
        Epoch from which on this set answers, 0 where it always has; None while it rests.
    """

    traffic: FileTraffic
    side: Side
    left: Callable[[], None] = _nothing
    answers_from: int | None = field(init=False)
    _order: TrafficShifted | None = field(default=None, init=False)
    _seen: TrafficShifted | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.answers_from = 0 if self.side is Side.BLUE else None

    def published(self, model: str) -> TrafficShifted | None:
        """Return the order in force as this set serves it."""
        order = self.traffic.published(model)
        if order is None or order is self._seen:
            return self._order
        sides = self._stand(order)
        answered, first = self.answers_from is not None, self._seen is None
        if sides.active is not self.side:
            self.answers_from = None
        elif not answered:
            self.answers_from = 0 if first else sides.epoch
        self._seen, self._order = order, held_by(self.side, sides, order)
        if answered and self.answers_from is None:
            self.left()
        return self._order

    def _stand(self, order: TrafficShifted) -> Sides:
        path = self.traffic.state / "run" / f"sides-{order.model}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(path.with_suffix(".lock")):
                before = _read(path)
                ready = before is not None and self._is_ready(order.model, before)
                after = sides_after(before, order, ready=ready)
                if after != before:
                    temporary = path.with_suffix(".new")
                    temporary.write_bytes(msgspec.json.encode(after))
                    temporary.replace(path)
                # a file that is ahead of the signed routing is from another life of this folder
                return after if after.epoch == order.epoch else sides_after(None, order, ready=False)
        except OSError as exc:
            raise UnavailableError(f"which set of workers answers cannot be read: {exc}") from exc

    def _is_ready(self, model: str, sides: Sides) -> bool:
        """Does every worker of the resting set answer by what it holds, and is there one for each that answers now?"""
        alive = self.traffic.workers(model)
        version, _ = sides.holds(sides.active.other)
        resting = [each for each in alive if each.side == sides.active.other]
        answering = sum(each.side == sides.active for each in alive)
        loaded = [each for each in resting if each.champion and each.champion.version == version and not each.refused]
        return answering <= len(resting) == len(loaded) > 0

    def publish(self, routing: TrafficShifted) -> None:
        """See `FileTraffic`."""
        self.traffic.publish(routing)

    def order(self, model: str, make: Callable[[TrafficShifted], TrafficOrdered]) -> TrafficOrdered:
        """See `FileTraffic`."""
        return self.traffic.order(model, make)

    def ordered(self, model: str) -> Sequence[TrafficOrdered]:
        """See `FileTraffic`."""
        return self.traffic.ordered(model)

    def applied(self, model: str) -> tuple[int, int]:
        """See `FileTraffic`."""
        return self.traffic.applied(model)

    def report(self, status: WorkerStatus) -> None:
        """See `FileTraffic`."""
        self.traffic.report(replace(status, side=self.side.value))

    def workers(self, model: str) -> Sequence[WorkerStatus]:
        """See `FileTraffic`."""
        return self.traffic.workers(model)

    def beat(self) -> None:
        """See `FileTraffic`."""
        self.traffic.beat()

    def beaten_s(self) -> float | None:
        """See `FileTraffic`."""
        return self.traffic.beaten_s()


def _read(path: Path) -> Sides | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sides)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None  # blue answers, as at first
