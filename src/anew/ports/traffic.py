"""Orders to the gateways: which version answers what."""

from typing import Protocol

from anew.domain.facts.rollout import TrafficShifted

__all__ = ["Traffic"]


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

    def applied(self, model: str) -> tuple[int, int]:
        """Return (workers alive, smallest epoch that they answer by); (0, 0) when none is alive."""
        ...
