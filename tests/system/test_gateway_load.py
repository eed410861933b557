"""What a gateway does when workers are killed, callers go away, too many come, or a version is replaced meanwhile."""

import http.client
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from anew.domain.errors import IntegrityError
from anew.domain.observation import Prediction
from tests.system.gateway_bed import Client, bed, children, mixed, resident, wait

pytestmark = pytest.mark.system


@dataclass
class Patient:
    """A caller who tries once more, by the same id, when a connection breaks."""

    port: int
    replies: list[tuple[float, int, Any]] = field(default_factory=list)
    retried: int = 0
    failures: list[str] = field(default_factory=list)

    def ask(self, number: int, stopped: threading.Event) -> None:
        """Ask without pause until stopped."""
        client, count = Client(self.port), 0
        while not stopped.is_set():
            count += 1
            for again in (True, False):
                began = time.monotonic()
                try:
                    status, body = client.predict(customer=str(number), amount=float(count), ids=[f"{number}-{count}"])
                    self.replies.append((began, status, body))
                    break
                except (OSError, http.client.HTTPException) as exc:
                    self.retried += again
                    if not again:
                        self.failures.append(repr(exc))
        client.close()


@pytest.mark.fault("S2")
def test_workers_killed_under_swaps_fail_nobody_who_tries_once_more(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with bed(tmp_path) as ours:
        versions = [ours.version(f"v{i}") for i in range(1, 6)]
        ours.shift(versions[0])
        port = ours.share("0123")
        for name in "0123":
            ours.begin(name, port)
        ours.applied(1)
        callers, stopped = [Patient(port) for _ in range(6)], threading.Event()
        shifted: dict[int, float] = {}
        with ThreadPoolExecutor(6) as pool:
            asking = [pool.submit(caller.ask, i, stopped) for i, caller in enumerate(callers)]
            for kill in range(4):
                for i in range(5):
                    epoch = ours.shift(versions[(kill + i) % 5], fallback=versions[(kill + i - 1) % 5])
                    shifted[epoch] = time.monotonic()
                    ours.applied(epoch)
                victim = ours.processes[str(kill)]
                victim.kill()
                victim.wait()
                ours.begin(str(kill), port)
            stopped.set()
            for each in asking:
                each.result()
        assert [failure for caller in callers for failure in caller.failures] == []
        replies = [reply for caller in callers for reply in caller.replies]
        assert {status for _, status, _ in replies} == {200}
        assert sum(caller.retried for caller in callers) >= 1  # the kills were felt
        assert mixed([(status, body) for _, status, body in replies]) == 0
        assert stale(replies, shifted) == 0
        record_property("figure", f"{len(replies)} answers over 20 swaps and 4 kills: 0 failed at the caller")


def stale(replies: Sequence[tuple[float, int, Any]], shifted: Mapping[int, float]) -> int:
    """Return how many were answered by a version that had been replaced for two seconds when they asked."""
    newer = [(began, shifted.get(body["epoch"] + 1)) for began, _, body in replies]
    return sum(at is not None and began >= at + 2 for began, at in newer)


@pytest.mark.fault("S2")
def test_control_a_worker_that_was_told_nothing_answers_by_what_was_replaced(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        caller, stopped, shifted = Patient(ours.begin()), threading.Event(), dict[int, float]()
        ours.applied(1)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(caller.ask, 0, stopped)
            shifted[2] = time.monotonic()
            wait(lambda: stale(caller.replies, shifted) > 0, ours.log)
            stopped.set()
            asking.result()
        assert caller.failures == []


def served(port: int, callers: int) -> list[bool]:
    """Come `callers` times at once, and say who was answered within four seconds."""
    body = b'{"row": {"amount": 1, "shop": "x", "count": 1, "customer": "c"}}'
    text = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    with ExitStack() as stack:
        come = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(callers)]
        for each in come:
            each.sendall(text)
        until, found = time.monotonic() + 4, []
        for each in come:
            each.settimeout(max(until - time.monotonic(), 0.01))
            try:
                found.append(each.recv(4096).startswith(b"HTTP/1.1 200 "))
            except OSError:
                found.append(False)
        return found


@pytest.mark.fault("S2")
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "control: a socket of its own"])
def test_who_comes_to_a_worker_that_died_or_hangs_is_served_by_another(tmp_path: Path, shared: bool) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        port = ours.share("01") if shared else ours.begin("0")
        for name in "01"[not shared :]:
            ours.begin(name, port)
        ours.applied(1)
        journal = tmp_path / ".anew" / "journal" / "1"
        wait(lambda: all(served(port, 8)) and any(journal.glob("*.seg")), ours.log)  # the second serves, too
        ours.processes["1"].send_signal(signal.SIGSTOP)
        assert all(served(port, 24)) is shared
        ours.processes["1"].kill()
        ours.processes["1"].wait()
        assert all(served(port, 24))


@pytest.mark.fault("S7")
def test_10_000_callers_who_go_away_leave_no_descriptor_and_no_half_row(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        port = ours.begin()
        ours.applied(1)
        client = ours.client(port)
        whole = b'{"row": {"amount": 1, "shop": "x", "count": 1, "customer": "c"}}'
        text = b"POST /predict HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%s" % (len(whole), whole)
        for _ in range(200):
            assert client.predict()[0] == 200
        pid = ours.processes["0"].pid
        before, grown = _descriptors(pid), resident(pid)
        for i in range(10_000):
            with socket.create_connection(("127.0.0.1", port)) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # end with a reset
                one.sendall(text if i % 2 else text[: 10 + i % 100])
        wait(lambda: _descriptors(pid) <= before, ours.log)
        assert client.predict()[0] == 200
        assert resident(pid) < 1.25 * grown
        kept = ours.kept()  # reads every record: half a one would be damage
        assert 201 <= len(kept) <= 5201
        assert {len(one.row) for one in kept if isinstance(one, Prediction)} == {3}


@pytest.mark.fault("S7")
def test_control_callers_who_stay_are_seen_in_the_descriptors_and_a_record_cut_short_in_the_journal(
    tmp_path: Path,
) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        client = ours.client(ours.begin())
        ours.applied(1)
        assert {client.predict()[0] for _ in range(5)} == {200}
        before = _descriptors(ours.processes["0"].pid)
        with ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(socket.create_connection(("127.0.0.1", client.port)))
            wait(lambda: _descriptors(ours.processes["0"].pid) == before + 10, ours.log)
        wait(lambda: _descriptors(ours.processes["0"].pid) == before, ours.log)
        (journal,) = children(ours.processes["0"].pid)
        os.kill(journal, signal.SIGKILL)  # before its gateway, or it may still get to mark the segment's end
        ours.processes["0"].kill()
        ours.processes["0"].wait()
        (segment,) = (tmp_path / ".anew" / "journal" / "0").glob("*.seg")
        whole = segment.read_bytes().rstrip(b"\0")
        segment.write_bytes(whole[:-1])
        assert len(ours.kept()) == 4
        segment.write_bytes(whole.replace(b"champion", b"chempion", 1))
        with pytest.raises(IntegrityError, match="damaged"):
            ours.kept()


@pytest.mark.fault("S8")
def test_three_times_too_many_are_told_so_soon_and_the_rest_is_served(tmp_path: Path) -> None:
    with bed(tmp_path, queue_ms=100) as ours:
        ours.shift(ours.version("v1", behaviour="slow_rows", seconds=0.004))  # 250 rows a second
        port = ours.begin()
        ours.applied(1)
        took: dict[int, list[float]] = {200: [], 503: []}

        def ask(number: int) -> None:
            client = Client(port)
            for _ in range(12):
                began = time.monotonic()
                status, _ = client.predict(customer=str(number))
                took[status].append(time.monotonic() - began)
            client.close()

        with ThreadPoolExecutor(75) as pool:  # 75 at once where 25 can be served within 100 ms
            list(pool.map(ask, range(75)))
        assert len(took[200]) > 50
        assert len(took[503]) > 50
        assert sorted(took[503])[len(took[503]) // 2] < sorted(took[200])[len(took[200]) // 2]
        counts = ours.client(port).call("GET", "/stats")[1]["counts"]
        assert (counts["overloaded"], counts["predictions"]) == (len(took[503]), len(took[200]))
        assert len(ours.kept()) == len(took[200])
        assert ours.client(port).predict()[0] == 200  # at once


@pytest.mark.fault("S10")
def test_a_long_request_ends_on_the_version_that_it_began_with(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=10_000) as ours:
        one, two = ours.version("v1"), ours.version("v2", behaviour="slow", seconds=1.5)
        ours.shift(one, two, share=1.0)
        port = ours.begin()
        ours.applied(1)
        with ThreadPoolExecutor(1) as pool:
            long = pool.submit(ours.client(port).predict)
            wait(lambda: ours.client(port).call("GET", "/stats")[1]["waiting"] > 0, ours.log)
            ours.shift(ours.version("v3"), fallback=one)
            ours.applied(2)
            assert ours.client(port).predict()[1]["version"] == "v3"
            assert not long.done()
            status, body = long.result()
        (entry,) = body["predictions"]
        assert (status, body["epoch"], entry["version"], entry["arm"]) == (200, 1, "v2", "challenger")
        kept = {each.id: each for each in ours.kept() if isinstance(each, Prediction)}
        assert (kept[entry["id"]].epoch, kept[entry["id"]].answer.output) == (1, entry["output"])


@pytest.mark.fault("S10")
def test_control_a_request_that_begins_after_the_swap_does_not_end_on_the_version_before(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=10_000) as ours:
        one, two = ours.version("v1"), ours.version("v2", behaviour="slow", seconds=0.2)
        ours.shift(one, two, share=1.0)
        client = ours.client(ours.begin())
        ours.applied(1)
        assert client.predict()[1]["predictions"][0]["version"] == "v2"
        ours.shift(ours.version("v3"), fallback=one)
        ours.applied(2)
        body = client.predict()[1]
        (entry,) = body["predictions"]
        assert (body["epoch"], entry["version"], entry["arm"]) == (2, "v3", "champion")


@pytest.mark.fault("V11")
def test_both_versions_of_a_canary_get_the_columns_that_they_know(tmp_path: Path) -> None:
    with bed(tmp_path, deadline_ms=5000) as ours:
        old = ours.version("v1", behaviour="width", features=["amount"])
        new = ours.version("v2", behaviour="width")
        ours.shift(old, new, share=0.5)
        client = ours.client(ours.begin())
        ours.applied(1)
        replies = [client.predict(customer=str(i))[1]["predictions"][0] for i in range(40)]
        assert {(entry["version"], entry["output"]) for entry in replies} == {("v1", 1.0), ("v2", 3.0)}
        kept = [one for one in ours.kept() if isinstance(one, Prediction)]
        assert {tuple(one.row) for one in kept} == {("amount", "shop", "count")}
        ours.shift(new, fallback=old)  # and so does the old one when it stands in for the new one
        ours.applied(2)
        assert client.predict()[1]["predictions"][0]["output"] == 3.0
        ours.shift(old, fallback=new)
        ours.applied(3)
        assert client.predict()[1]["predictions"][0]["output"] == 1.0


@pytest.mark.fault("V11")
def test_control_a_version_that_were_given_the_new_column_too_would_answer_otherwise(tmp_path: Path) -> None:
    """The same canary, but the old version says that it knows every column."""
    with bed(tmp_path, deadline_ms=5000) as ours:
        ours.shift(ours.version("v1", behaviour="width"), ours.version("v2", behaviour="width"), share=0.5)
        client = ours.client(ours.begin())
        ours.applied(1)
        replies = [client.predict(customer=str(i))[1]["predictions"][0] for i in range(40)]
        assert {(entry["version"], entry["output"]) for entry in replies} == {("v1", 3.0), ("v2", 3.0)}


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  the kernel's own folder
