"""What those who observe ask about the record and give facts to."""

from typing import Any, Protocol

from anew.domain.fact import Fact

__all__ = ["Recorder"]


class Recorder(Protocol):
    """The live loop, which hears first what people have ordered the gateways; where nobody orders, an engine."""

    def state(self, name: str) -> Any:
        """Return the present state of the stage called `name`."""
        ...

    def submit(self, fact: Fact) -> tuple[Fact, ...]:
        """Record a fact with all that follows from it, and return that."""
        ...
