"""No descriptors left: what is refused says so, what was acknowledged is kept, and work goes on after it."""

import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.system.gateway_bed import Bed, bed, wait

pytestmark = pytest.mark.system


def answers(ours: Bed, port: int, spare: int) -> list[tuple[int, Any]]:
    """Ask over one connection while others take all descriptors but `spare`; return every reply, the last two after it.

    The segments of the journal are so small that it needs a descriptor for a new one again and again.
    """
    client = ours.client(port)
    replies = [client.predict()]
    pid = ours.processes["0"].pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{pid}/fd").iterdir())) + spare, before[1]))
    with ExitStack() as crowd:
        for _ in range(12):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        replies += [client.predict() for _ in range(60)]
    wait(lambda: client.predict()[0] == 200, ours.log, seconds=10)
    fresh = ours.client(port)  # and who comes now is let in
    replies += [client.predict(), fresh.predict()]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    return replies


@pytest.mark.fault("D19")
@pytest.mark.fault("D5")
def test_a_worker_without_descriptors_refuses_by_name_and_goes_on_when_there_are_some(tmp_path: Path) -> None:
    with bed(tmp_path, segment_bytes=2_000) as ours:
        ours.shift(ours.version("v1"))
        port = ours.begin()
        ours.applied(1)
        replies = answers(ours, port, spare=6)
        served = [body["predictions"][0]["id"] for status, body in replies if status == 200]
        refused = [body["error"]["code"] for status, body in replies if status != 200]
        assert set(refused) == {"journal_unavailable"}
        assert [status for status, _ in replies[-2:]] == [200, 200]
        assert set(served) <= {one.id for one in ours.kept()}
        assert ours.processes["0"].poll() is None


@pytest.mark.fault("D19")
def test_control_with_descriptors_left_nobody_is_refused(tmp_path: Path) -> None:
    with bed(tmp_path, segment_bytes=2_000) as ours:
        ours.shift(ours.version("v1"))
        port = ours.begin()
        ours.applied(1)
        assert {status for status, _ in answers(ours, port, spare=200)} == {200}
