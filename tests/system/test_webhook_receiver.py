"""A receiver of webhooks in a process of its own, killed and started again: every fact comes, signed, and in order."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.system_clock import SystemClock
from anew.app.followers import Followers
from anew.app.record import open_record
from anew.app.settings import load
from anew.app.workers import free_port
from tests.cli.recorded import write_record

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

SECRET, OTHER = "whsec_" + "A" * 32, "whsec_" + "B" * 32
PROGRAM = Path(__file__).with_name("webhook_program.py")


@contextmanager
def program(port: int, file: Path, secret: str) -> "Iterator[subprocess.Popen[bytes]]":
    started = subprocess.Popen([sys.executable, PROGRAM, str(port), file, secret])
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def taken(file: Path) -> list[str]:
    return (
        [json.loads(line.partition(b" ")[2])["id"] for line in file.read_bytes().splitlines()] if file.exists() else []
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, int, list[str]]]:
    root, port = write_record(tmp_path / "small"), free_port("127.0.0.1")
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{port}/")
    monkeypatch.setenv("SECRET", SECRET)
    policy = root / "anew.yaml"
    policy.write_text(f"{policy.read_text()}\nevents: {{webhooks: [{{url: 'env:HOOK', secret: 'env:SECRET'}}]}}\n")
    with closing(open_record(root / ".anew")) as database:
        facts = [each.fact.id for each in SQLEventLog(database, clock=SystemClock()).read()]
    assert len(facts) > 3
    yield root, port, facts


@pytest.mark.fault("L11")
def test_a_receiver_that_is_killed_gets_everything_once_it_is_back(
    project: tuple[Path, int, list[str]], tmp_path: Path
) -> None:
    root, port, facts = project
    file = tmp_path / "taken"
    with Followers(load(root)):
        with program(port, file, SECRET):
            until(lambda: len(taken(file)) >= 1)
        with program(port, file, SECRET):
            until(lambda: len(taken(file)) == len(facts))
    assert taken(file) == facts
    (root / ".anew" / "told" / "webhook-0").unlink()  # then each fact is told again
    with program(port, file, SECRET), Followers(load(root)):
        until((root / ".anew" / "told" / "webhook-0").exists)
    assert taken(file) == facts, "and its id tells that it is the same"


@pytest.mark.fault("L11")
def test_control_a_receiver_with_another_secret_takes_nothing(
    project: tuple[Path, int, list[str]], tmp_path: Path
) -> None:
    root, port, _ = project
    file, log = tmp_path / "taken", root / ".anew" / "told" / "webhook-0"
    with program(port, file, OTHER), Followers(load(root)):
        until(file.with_suffix(".refused").exists)
    assert taken(file) == []
    assert not log.exists(), "nothing counts as told"
