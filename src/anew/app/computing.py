"""Settings into a compute: where the project's versions are trained."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from anew.adapters.local_compute import LocalCompute
from anew.adapters.ray_compute import RayCompute
from anew.app.settings import Settings
from anew.ports.compute import Compute

__all__ = ["cluster_of", "open_compute"]


@contextmanager
def open_compute(settings: Settings) -> Iterator[Compute]:
    """Open what jobs are submitted to; closing it ends no job.

    Raises
    ------
    MissingExtraError
        It is a Ray cluster, and Ray is not installed.
    """
    cluster = cluster_of(settings)
    if cluster is None:
        yield _near(settings)
        return
    with closing(cluster):
        yield cluster


def cluster_of(settings: Settings) -> RayCompute | None:
    """Return the Ray cluster that the settings name, or None. Raises as `open_compute`."""
    where = settings.policy.stores.compute
    if where == "local":
        return None
    return RayCompute(near=_near(settings), address=where, namespace=f"anew-{settings.model}")


def _near(settings: Settings) -> LocalCompute:
    return LocalCompute(root=settings.state / "jobs")
