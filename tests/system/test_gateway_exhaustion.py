"""No descriptors left: what is refused says so, what was acknowledged is kept, and work goes on after it."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.gateway_bed import Bed, bed, children, wait

pytestmark = pytest.mark.system


def answers(ours: Bed, pid: int, spare: int) -> list[tuple[int, Any]]:
    """Ask over one connection while others come and `pid` has `spare` descriptors left; return every reply.

    The last two are after it. The segments of the journal are so small that it needs a descriptor for a new one again
    and again.
    """
    port = ours.status().port
    client = ours.client(port)
    replies = [client.predict()]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{pid}/fd").iterdir())) + spare, before[1]))
    with ExitStack() as crowd:
        for _ in range(12):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        replies += [client.predict() for _ in range(60)]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    wait(lambda: client.predict()[0] == 200, ours.log, seconds=10)
    fresh = ours.client(port)  # and who comes now is let in
    replies += [client.predict(), fresh.predict()]
    return replies


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Bed, int, int]]:
    """Run a worker whose segments are small; gives also its process and that of its journal."""
    with bed(folder, segment_bytes=2_000) as ours:
        ours.shift(ours.version("v1"))
        ours.begin()
        ours.applied(1)
        worker = ours.processes["0"].pid
        (journal,) = children(worker)
        yield ours, worker, journal


@pytest.mark.fault("D19")
@pytest.mark.fault("D5")
def test_a_journal_without_descriptors_refuses_by_name_and_goes_on_when_there_are_some(tmp_path: Path) -> None:
    with serving(tmp_path) as (ours, _, journal):
        replies = answers(ours, journal, spare=-1)
        served = [body["predictions"][0]["id"] for status, body in replies if status == 200]
        refused = [body["error"]["code"] for status, body in replies if status != 200]
        assert set(refused) == {"journal_unavailable"}
        assert [status for status, _ in replies[-2:]] == [200, 200]
        assert set(served) <= {one.id for one in ours.kept()}
        assert ours.processes["0"].poll() is None


@pytest.mark.fault("D19")
def test_callers_who_take_every_descriptor_of_a_worker_keep_nobody_else_from_an_answer(tmp_path: Path) -> None:
    with serving(tmp_path) as (ours, worker, _):
        assert {status for status, _ in answers(ours, worker, spare=6)} == {200}


@pytest.mark.fault("D19")
def test_control_with_descriptors_left_nobody_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as (ours, _, journal):
        assert {status for status, _ in answers(ours, journal, spare=200)} == {200}
