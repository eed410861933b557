"""A thousand swaps of a real model under load: nothing fails, nothing is mixed, nothing grows.

Run it as ``make bench-serve-swaps``. One worker serves six versions (30 numbers, 200 trees of LightGBM) in turn while
callers ask without pause. Exit 0 only if no request failed, every answer is that of the version that it names, at
least 200 requests a second were answered, their 99th percentile is at most twice that of the same load without swaps,
and the worker's memory after the last swap is within 10 % of that after the fiftieth. Unless told ``--every``, one swap
follows the other at once, some twenty in a second: one in ten requests meets a version that is being loaded.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from measured import tell
from serve_project import FEATURES, MODEL, Project, make_project, rows_of

__all__ = ["main"]

SETTLED = 50
VERSIONS = 6
"""More than a worker keeps warm, so that every swap loads one and frees one."""
_CALLERS = 4


@dataclass
class Heard:
    """What callers got: seconds, version and probability of each reply; and what failed."""

    replies: list[tuple[float, str, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="make bench-serve-swaps")
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--every", type=float, default=0.0, help="seconds from one swap to the next, at least")
    parser.add_argument("--steady", type=float, default=10.0, help="seconds of load without swaps")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        tell(f"training {VERSIONS} versions")
        project = make_project(Path(temporary) / "project", versions=VERSIONS)
        command = [sys.executable, "-m", "anew.app.gateway_worker", "--project", str(project.folder), "--port", "0"]
        with (Path(temporary) / "log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        try:
            return _judge(*_measure(project, process, given))
        finally:
            process.terminate()
            process.wait(20)


def _measure(project: Project, process: subprocess.Popen, given: argparse.Namespace) -> tuple:
    _until(lambda: project.traffic.applied(MODEL) == (1, 1))
    (status,) = project.traffic.workers(MODEL)
    expected = _expected(project, status.port)
    tell("load without swaps")
    steady = _loaded(status.port, lambda: time.sleep(given.steady))
    settled = 0
    began = time.monotonic()

    def swap() -> None:
        nonlocal settled
        for i in range(given.swaps):
            due = time.monotonic() + given.every
            epoch = project.shift((i + 1) % VERSIONS, i % VERSIONS)
            _until(lambda epoch=epoch: project.traffic.applied(MODEL)[1] >= epoch)
            if i + 1 == SETTLED:
                settled = _resident(process.pid)
            if (i + 1) % 100 == 0:
                tell(f"{i + 1} swaps, {_resident(process.pid) / 256:.0f} MB")
            time.sleep(max(0.0, due - time.monotonic()))

    swapped = _loaded(status.port, swap)
    return steady, swapped, expected, (settled, _resident(process.pid)), time.monotonic() - began


def _expected(project: Project, port: int) -> dict[str, float]:
    """Return what each version says to the one row that is asked."""
    said = {}
    for place in reversed(range(VERSIONS)):
        epoch = project.shift(place)
        _until(lambda epoch=epoch: project.traffic.applied(MODEL)[1] >= epoch)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        version, share = _ask(connection)
        said[version] = share
        connection.close()
    return said


def _loaded(port: int, work: Callable[[], None]) -> Heard:
    """Have callers ask without pause while `work` is done."""
    heard, stopped = Heard(), threading.Event()

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while not stopped.is_set():
            began = time.perf_counter()
            try:
                version, share = _ask(connection)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as exc:
                heard.failures.append(repr(exc))
                connection.close()
                continue
            heard.replies.append((time.perf_counter() - began, version, share))
        connection.close()

    callers = [threading.Thread(target=call) for _ in range(_CALLERS)]
    for caller in callers:
        caller.start()
    try:
        work()
    finally:
        stopped.set()
        for caller in callers:
            caller.join()
    return heard


_BODY = json.dumps({"row": dict(zip(FEATURES, rows_of(1)[0].tolist(), strict=True))})


def _ask(connection: http.client.HTTPConnection) -> tuple[str, float]:
    connection.request("POST", "/predict", _BODY, {"content-type": "application/json"})
    response = connection.getresponse()
    said = json.loads(response.read())
    if response.status != 200:
        raise ValueError(f"{response.status}: {said}")
    (one,) = said["predictions"]
    return one["version"], one["proba"][1]


def _judge(steady: Heard, swapped: Heard, expected: dict[str, float], resident: tuple[int, int], seconds: float) -> int:
    p99 = [1e3 * float(np.quantile([took for took, *_ in each.replies], 0.99)) for each in (steady, swapped)]
    mixed = sum(share != expected[version] for _, version, share in swapped.replies)
    rate = len(swapped.replies) / seconds
    versions = {version for _, version, _ in swapped.replies}
    grown = resident[1] / resident[0] - 1 if resident[0] else float("nan")
    for failure, count in Counter(swapped.failures).most_common(5):
        print(f"{count} times: {failure[:120]}")
    verdicts = {
        f"{len(swapped.failures)} of {len(swapped.replies)} requests failed": not swapped.failures,
        f"{mixed} answers mixed, {len(versions)} versions seen": not mixed and len(versions) == VERSIONS,
        f"{rate:,.0f} requests per second": rate >= 200,
        f"99th percentile {p99[1]:.1f} ms, without swaps {p99[0]:.1f} ms": p99[1] <= 2 * p99[0],
        f"memory {resident[0] / 256:.0f} MB after {SETTLED} swaps, {resident[1] / 256:.0f} MB at the end": grown <= 0.1,
    }
    for sentence, held in verdicts.items():
        print(f"{'met   ' if held else 'MISSED'} {sentence}")
    return 0 if all(verdicts.values()) else 1


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("the worker does not follow")
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
