"""Settings into workers: where large batches of independent work are done."""

import os

from anew.adapters.local_workers import LocalWorkers
from anew.adapters.ray_workers import RayWorkers
from anew.app.settings import Settings
from anew.ports.workers import Workers

__all__ = ["workers_of"]


def workers_of(settings: Settings, processes: int = 0) -> Workers:
    """Return the Ray cluster of ``stores.compute``, or processes of this machine.

    Parameters
    ----------
    processes
        How many work at once on this machine; 0 for one on each core, two at the most. On a cluster it is ignored: work
        goes wherever there is room.
    """
    where = settings.policy.stores.compute
    if where != "local":
        return RayWorkers(where, settings.policy.train.request.cpus)
    return LocalWorkers(processes or min(2, os.cpu_count() or 1))
