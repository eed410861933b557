"""Operating it: the control plane away, a second one, a file spoilt in the midst of it, a locked database."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from anew.app.alone import lock_of
from anew.domain.facts import AccessGranted, AccessRevoked, EffectFailed, ProjectChanged, TrafficApplied
from tests.system.loop_project import ANEW, PATIENCE_S, QUIET, LoopProject, loop_project, wait, write

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.mark.fault("S4")
def test_a_gateway_that_starts_without_its_control_plane_serves_the_last_good_version(
    stale: LoopProject, tmp_path: Path
) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        ours.up()
        ours.serves()
        ours.down(signal.SIGKILL)
        ours.hour()  # it goes on serving
        os.kill(_gateway(ours), signal.SIGKILL)
        wait(lambda: not ours.processes(), ours.log)
        assert ours.ready() is None

        long_ago = time.time() - 60.0
        os.utime(ours.state / "run" / "control", (long_ago, long_ago))
        command = [sys.executable, "-m", "anew.app.gateway_worker", "--project", str(ours.root), "--worker", "0"]
        with (ours.root / "err").open("ab") as err:
            worker = subprocess.Popen([*command, "--port", str(ours.port)], stderr=err)
        ours.programs.append(worker)
        assert ours.serves() == "v1"
        ready = ours.ready()
        assert ready is not None
        assert ready["status"] == "degraded"
        assert any("control plane" in problem for problem in ready["problems"])
        ours.hour()

        ours.up()  # takes it over as it is
        wait(lambda: (ours.ready() or {}).get("status") == "ready", ours.log)
        ours.settle()
        assert _gateway(ours) == worker.pid
        assert ours.stored() == ours.expected()
        os.kill(worker.pid, signal.SIGKILL)  # and watches over it
        worker.wait()
        wait(lambda: ours.ready() is not None, ours.log)
        assert ours.serves() == "v1"
        assert ours.down() == 0
        assert not ours.processes()


def test_history_is_needed_until_it_was_imported(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        (ours.root / "history.parquet").unlink()
        ours.up()
        assert ours.serves() == "v1"
        ours.hour()
        ours.settle()
        assert ours.down() == 0


@pytest.mark.fault("O3")
@pytest.mark.fault("D6")
def test_a_second_loop_is_refused_and_a_locked_database_is_waited_for(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        first = ours.up()
        ours.serves()
        second = subprocess.run(
            [ANEW, "up", ours.root], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert second.returncode == 5
        assert f"pid {first.pid}" in second.stderr
        assert first.poll() is None
        lock = lock_of(ours.state)
        os.utime(lock, (1, 1))
        wait(lambda: lock.stat().st_mtime > 1, ours.log)  # it says that it turns

        began = time.monotonic()
        with closing(sqlite3.connect(ours.state / "anew.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            while time.monotonic() < began + 2.0:
                ours.hour()
            known = len(ours.facts(ProjectChanged))
            other.execute("ROLLBACK")
        ours.hour()
        ours.settle()
        assert known == len(ours.facts(ProjectChanged))
        assert ours.stored() == ours.expected()
        assert first.poll() is None
        ours.verify_chain()


@pytest.mark.fault("O2")
def test_a_file_spoilt_while_it_runs_changes_nothing_until_it_is_mended(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        ours.up()
        ours.serves()
        before = len(ours.facts(ProjectChanged))
        good = (ours.root / "anew.yaml").read_text()
        spoilt = good.replace("holdout:", "holdovt:")
        line = next(number for number, text in enumerate(spoilt.splitlines(), 1) if "holdovt" in text)
        column = spoilt.splitlines()[line - 1].index("holdovt") + 1
        (ours.root / "anew.yaml").write_text(spoilt)
        wait(lambda: f"anew.yaml:{line}:{column}: unknown key 'data.holdovt'" in _said(ours), ours.log)

        # Meanwhile all goes on by what was accepted: a gateway that dies, and a whole retraining.
        gateway = _gateway(ours)
        os.kill(gateway, signal.SIGKILL)
        wait(lambda: ours.ready() is not None and _gateway(ours) != gateway, ours.log)
        assert ours.serves() == "v1"
        ours.anew("retrain")
        ours.wait_for(TrafficApplied, epoch=2)
        assert not ours.facts(EffectFailed)
        (ours.root / "anew.yaml").unlink()
        wait(lambda: "anew.yaml is not there" in _said(ours), ours.log)
        assert len(ours.facts(ProjectChanged)) == before

        write(ours.root, QUIET | {"data": "{history: history.parquet, holdout: 0.2}"})
        wait(lambda: len(ours.facts(ProjectChanged)) == before + 1, ours.log)
        (ours.root / "anew.yaml").write_text(good)  # a revision that was there before is one more change
        wait(lambda: len(ours.facts(ProjectChanged)) == before + 2, ours.log)
        ours.settle()
        assert ours.down() == 0


@pytest.mark.fault("O2")
def test_changed_settings_of_serving_come_into_force_without_a_request_lost(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        ours.up()
        ours.serves()
        first = _gateway(ours)

        def served(until: Callable[[], bool]) -> bool:
            ours.predict(1)  # every request is answered, whoever answers it
            return until()

        write(ours.root, QUIET | {"serving": "{deadline_ms: 9000, workers: 2}"})
        wait(lambda: served(lambda: "were replaced" in _said(ours)), ours.log)
        wait(lambda: served(lambda: first not in ours.processes()), ours.log)
        assert len(_gateways(ours)) == 2

        write(ours.root, QUIET | {"serving": "{deadline_ms: 8000, workers: 1}"})
        wait(lambda: served(lambda: _said(ours).count("were replaced") == 2), ours.log)
        wait(lambda: served(lambda: len(_gateways(ours)) == 1), ours.log)
        ours.settle()
        assert ours.stored() == ours.expected()

        # One that cannot begin changes nothing.
        last = _gateway(ours)
        keys = ours.state / "keys"
        keys.rename(ours.state / "away")
        write(ours.root, QUIET | {"serving": "{deadline_ms: 7000, workers: 1}"})
        wait(lambda: served(lambda: "did not begin to serve" in _said(ours)), ours.log)
        (ours.state / "away").rename(keys)
        assert _gateways(ours) == [last]
        assert ours.down() == 0
        assert not ours.processes()


def test_another_model_or_other_columns_are_refused_while_it_runs(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        ours.up()
        ours.serves()
        for changed, said in (
            ({"model": "another"}, "the model is called another, and this project began as demand"),
            ({"features": "{x: number, w: number}"}, "(gone: z; new: w)"),
            ({"target": "outcome"}, "columns cannot change while it runs; stop it and start it again"),
        ):
            write(ours.root, QUIET | changed)
            wait(partial(_says, ours, said), ours.log)
        ours.hour()
        ours.settle()
        assert ours.stored() == ours.expected()
        assert ours.down() == 0


def _gateway(ours: LoopProject) -> int:
    """Return the process of the one gateway, 0 for none."""
    return next(iter(_gateways(ours)), 0)


def _gateways(ours: LoopProject) -> list[int]:
    found = []
    for pid in ours.processes():
        with suppress(OSError):  # it ended since
            if b"anew.app.gateway_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def _says(ours: LoopProject, sentence: str) -> bool:
    return sentence in _said(ours)


def _said(ours: LoopProject) -> str:
    return (ours.root / "err").read_text()


@pytest.mark.fault("H1")
@pytest.mark.fault("H8")
def test_a_gateway_that_lets_nobody_in_unasked_serves_who_holds_a_good_token(
    stale: LoopProject, tmp_path: Path
) -> None:
    closed = QUIET | {"serving": "{deadline_ms: 10000, workers: 1}\naccess: {anonymous: nobody}"}
    with loop_project(tmp_path / "project", closed, like=stale) as ours:
        made = ours.anew("access", "create", "checkout")
        program = ours.start()
        base = f"http://127.0.0.1:{ours.port}"

        def status(path: str, token: str = "", host: str = "127.0.0.1") -> int:
            headers = {"host": host} | ({"authorization": f"Bearer {token}"} if token else {})
            body = {"row": {"x": 0.5, "z": 0.5, "at": ours.stream.take(1)[0]["at"].isoformat()}}
            try:
                if path == "/predict":
                    return httpx.post(base + path, json=body, headers=headers, timeout=20).status_code
                return httpx.get(base + path, headers=headers, timeout=20).status_code
            except httpx.TransportError:
                return 0

        wait(lambda: program.poll() is not None or status("/v2/health/ready") == 200, ours.log)
        assert [status(path) for path in ("/predict", "/stats", "/metrics", "/ready", "/nowhere")] == [401] * 5
        assert status("/predict", made["token"]) == 200
        assert status("/predict", made["token"], host="evil.example") == 421
        assert ours.anew("access", "revoke", made["id"])["revoked"]
        wait(lambda: status("/predict", made["token"]) == 401, ours.log)
        viewer = ours.anew("access", "create", "ann", "--role", "viewer")
        wait(lambda: status("/stats", viewer["token"]) == 200, ours.log)
        assert status("/predict", viewer["token"]) == 403
        wait(lambda: len(ours.facts(AccessGranted)) == 2 and len(ours.facts(AccessRevoked)) == 1, ours.log)
        assert made["token"].split("_", 2)[2] not in ours.log() + (ours.state / "anew.db").read_bytes().decode(
            "latin-1"
        )
        assert ours.down() == 0
