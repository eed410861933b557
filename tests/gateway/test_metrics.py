"""The page for Prometheus; that promtool accepts it is a system test."""

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from anew.gateway.latency import LatencyGrid
from anew.gateway.metrics import render
from anew.ports.traffic import VersionHealth, WorkerStatus

__all__ = ["example"]


def example() -> bytes:
    """Return a page of two workers, with a name that needs escaping."""
    grid = LatencyGrid()
    for seconds in (0.00005, 0.0004, 0.0004, 0.003, 100.0):
        grid.add(seconds)
    health = VersionHealth(version='v"1\\', asked=10, failed={"error": 3}, latency=tuple(grid.counts), tripped="so")
    status = WorkerStatus(
        model="m",
        worker="0",
        pid=1,
        started=1,
        port=1,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        epoch=7,
        problem="full",
        champion=health,
        counts={"predictions": 5, "request_us": 2_500_000},
        latency=tuple(grid.counts),
    )
    other = WorkerStatus(model="m", worker="1", pid=2, started=1, port=1, at=status.at, epoch=6)
    return render([status, other])


def test_every_worker_is_on_the_page_and_buckets_add_up() -> None:
    families = {family.name: family for family in text_string_to_metric_families(example().decode())}
    epochs = {each.labels["worker"]: each.value for each in families["anew_gateway_epoch"].samples}
    assert epochs == {"0": 7, "1": 6}
    (event,) = families["anew_gateway_events"].samples
    assert (event.labels["event"], event.value) == ("predictions", 5)
    told = families["anew_gateway_request_duration_seconds"].samples
    mine = [each for each in told if each.labels["worker"] == "0"]
    buckets = [(float(each.labels["le"]), each.value) for each in mine if each.name.endswith("_bucket")]
    assert buckets[0] == (0.0001, 1)
    assert dict(buckets)[0.0004] == 3
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert buckets[-1] == (float("inf"), 5)
    assert {each.name: each.value for each in mine if "le" not in each.labels} == {
        "anew_gateway_request_duration_seconds_sum": 2.5,
        "anew_gateway_request_duration_seconds_count": 5,
    }
    rows = {each.labels["outcome"]: each for each in families["anew_version_rows"].samples}
    assert {outcome: each.value for outcome, each in rows.items()} == {"answered": 7, "error": 3}
    assert rows["error"].labels["version"] == 'v"1\\'
