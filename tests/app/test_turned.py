"""What a probe of liveness looks at: the loop's lock grows old when it hangs, and not when others are away."""

import os
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from anew.app import up as module
from anew.app.alone import lock_of
from anew.app.up import UpOptions, up
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
