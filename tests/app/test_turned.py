"""What a probe of liveness looks at: the loop's lock grows old when it hangs, and not when others are away."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from anew.adapters.memory import ManualClock
from anew.app import up as module
from anew.app.alone import alone, lock_of, turning
from anew.app.settings import load
from anew.app.up import UpOptions, _Up, up
from anew.domain.errors import UnavailableError
from tests.app.small_project import YAML, write_project

HANGS_S = 60.0


def test_a_loop_whose_database_is_away_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write_project(
        tmp_path / "p", YAML + "serving: {workers: 0}\ndashboard: {serve: false}\nstores: {database: 'env:DB'}\n"
    )
    monkeypatch.setenv("DB", "postgresql://127.0.0.1:1/none")
    monkeypatch.setattr(module, "has_record", lambda _: True)
    asked, stop = Event(), Event()

    def away(_: object) -> None:
        asked.set()
        raise UnavailableError("the database does not answer")

    monkeypatch.setattr(module, "open_stores", away)
    loop = Thread(target=up, args=(project, UpOptions(), stop), daemon=True)
    loop.start()
    try:
        assert asked.wait(HANGS_S)
        lock, until = lock_of(project / ".anew"), time.monotonic() + HANGS_S
        os.utime(lock, (1, 1))
        while lock.stat().st_mtime < 2:
            assert time.monotonic() < until, "it does not say that it turns"
            stop.wait(0.05)
    finally:
        stop.set()
        loop.join(HANGS_S)
    assert not loop.is_alive()


def test_a_loop_that_looks_at_every_byte_of_a_large_lake_says_after_each_file_that_it_turns(tmp_path: Path) -> None:
    project = write_project(tmp_path / "p")
    lock, young = lock_of(project / ".anew"), list[bool]()
    lock.parent.mkdir(parents=True)
    lock.touch()

    def verify(seen: Callable[[], None]) -> tuple[str, ...]:
        for _ in range(3):
            os.utime(lock, (1, 1))
            seen()
            young.append(lock.stat().st_mtime > 1)
        return ()

    lake = MagicMock()
    lake.verify.side_effect = verify
    stores: Any = SimpleNamespace(clock=ManualClock(), lake=lake, journals=MagicMock(), log=MagicMock())
    loop = _Up(load(project), stores, UpOptions(), MagicMock(), MagicMock())
    loop._loop, stop = MagicMock(), Event()
    stop.set()
    loop._turns(stop, MagicMock(), MagicMock())
    assert young == [True] * 3
    assert loop._loop.come_on.call_count >= 3


def test_a_loop_turns_where_its_process_lives_and_said_so_a_moment_ago(tmp_path: Path) -> None:
    lock = lock_of(tmp_path)
    assert turning(tmp_path) is None
    with alone(lock):
        assert turning(tmp_path) == os.getpid()
        os.utime(lock, (1, 1))
        assert turning(tmp_path) is None, "it hangs, or is another's of long ago"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    lock.write_text(str(ended.pid), "ascii")
    assert turning(tmp_path) is None, "it was killed"
    lock.write_text("", "ascii")
    assert turning(tmp_path) is None
