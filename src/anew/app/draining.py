"""The drainer of a project: the loop alone, or the loop with processes that read for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from anew.adapters.drainer_processes import DrainerProcesses
from anew.app.settings import Settings
from anew.app.stores import OpenStores, journal_root
from anew.loop.drain import Drainer
from anew.loop.shared_drain import SharedDrainer

__all__ = ["draining", "waits_for_start"]


@contextmanager
def draining(settings: Settings, stores: OpenStores) -> Iterator[Drainer]:
    """Return what drains the journals into the lake, for one thread; its processes end with the block."""
    count = settings.policy.stores.drainers
    if count == 1:
        yield Drainer(stores.journals, stores.lake)
        return
    with DrainerProcesses(count, journal_root(settings.state), settings.columns, settings.state / "logs") as drainers:
        yield SharedDrainer(stores.journals, stores.lake, drainers=drainers)


def waits_for_start(began: Settings, before: Settings, changed: Settings) -> bool:
    """Is another host, port or number of drainers in `changed` than it began with and than it said `before`?

    These are taken over at a start alone.
    """
    return _at_start(changed) not in (_at_start(began), _at_start(before))


def _at_start(settings: Settings) -> tuple[str, int | None, int]:
    return settings.policy.serving.host, settings.policy.serving.port, settings.policy.stores.drainers
