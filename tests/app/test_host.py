"""The host of many loops, with loops that only turn: what goes wrong around them stops neither them nor the host."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from anew.app import host
from anew.app.alone import lock_of
from anew.app.host import HostOptions, up_installation
from anew.app.standing import say_standing
from anew.app.up import UpOptions, up
from anew.cli.models import show
from anew.domain.errors import UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import RetrainAdmitted, RetrainQueued, RetrainRequested, TrainingEnded, VersionPromoted
from anew.domain.severity import Severity
from anew.loop.drain import Drainer, DrainReport
from tests.app.test_installation import installation, project, states, wait

AT = datetime(2030, 1, 1, tzinfo=UTC)
Loop = Callable[[UpOptions, threading.Event], None]


class NoEffects:
    """Runs nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def start(self) -> None:
        """Begin."""

    def ask(self, _fact_id: str) -> None:
        """Pass over it."""

    def active(self) -> frozenset[str]:
        """Return nothing."""
        return frozenset()

    def close(self) -> None:
        """End."""


def turning(options: UpOptions, stop: threading.Event) -> None:
    """Turn until the end."""
    options.begun()
    while not stop.wait(0.01):
        options.mail().clear()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let the host turn a hundred times a second, over loops that are none."""
    for name in ("_TURN_S", "_SAY_S", "_LOOK_S"):
        monkeypatch.setattr(host, name, 0.01)
    monkeypatch.setattr(host, "DBOSEffects", NoEffects)
    return monkeypatch


def loops(patch: pytest.MonkeyPatch, given: dict[str, Loop]) -> None:
    def up(root: Path, options: UpOptions, stop: threading.Event) -> None:
        given.get(root.name, turning)(options, stop)

    patch.setattr(host, "up", up)


@contextmanager
def hosting(root: Path) -> Iterator[tuple[threading.Event, list[BaseException]]]:
    """Host it in a thread; what ends it before its time is in the list."""
    stop, raised = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            up_installation(root, HostOptions(), stop)
        except BaseException as exc:  # noqa: BLE001  whatever ends it is looked at
            raised.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield stop, raised
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_a_full_disk_is_said_and_outlived(
    tmp_path: Path, quick: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = installation(tmp_path)
    project(root / "models" / "m", "m")
    loops(quick, {})
    full, refused = threading.Event(), list[int]()

    def say_or_not(*args: Any) -> None:
        if full.is_set():
            refused.append(1)
            raise OSError(28, "No space left on device")
        say_standing(*args)

    quick.setattr(host, "say_standing", say_or_not)
    with hosting(root) as (_, raised), caplog.at_level(logging.ERROR, "anew.host"):
        wait(lambda: states(root) == {"models/m": "runs"}, 20)
        full.set()
        wait(lambda: len(refused) > 2 or bool(raised), 20)
        project(root / "models" / "new", "new")
        full.clear()
        wait(lambda: states(root) == {"models/m": "runs", "models/new": "runs"} or bool(raised), 20)
        assert raised == []
    assert set(states(root).values()) == {"stopped"}
    assert len([each for each in caplog.messages if "No space left" in each]) == 1


def test_a_host_that_turns_keeps_its_lock_young(tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    root = installation(tmp_path)
    project(root / "models" / "m", "m")
    loops(quick, {})
    with hosting(root):
        wait(lambda: states(root) == {"models/m": "runs"}, 20)
        lock = lock_of(root / ".anew")
        os.utime(lock, (1, 1))
        wait(lambda: lock.stat().st_mtime > 1, 20)


def test_what_ends_the_host_ends_its_loops(tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    root = installation(tmp_path)
    project(root / "models" / "m", "m")
    ended = threading.Event()

    def loop(options: UpOptions, stop: threading.Event) -> None:
        turning(options, stop)
        ended.set()

    loops(quick, {"m": loop})

    def fails(*_: Any) -> None:
        raise MemoryError

    with hosting(root) as (stop, raised):
        wait(lambda: states(root) == {"models/m": "runs"}, 20)
        quick.setattr(host, "say_standing", fails)
        wait(lambda: bool(raised), 20)
        assert ended.is_set()
        assert stop.is_set()
        assert isinstance(raised[0], MemoryError)


def test_a_loop_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, quick: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = installation(tmp_path)
    for name in ("hangs", "well"):
        project(root / "models" / name, name)
    for_ever = threading.Event()

    def hang(options: UpOptions, _: threading.Event) -> None:
        options.begun()
        for_ever.wait()

    loops(quick, {"hangs": hang})
    quick.setattr(host, "_ENDING_S", 0.2)
    try:
        with hosting(root), caplog.at_level(logging.WARNING, "anew.host"):
            wait(lambda: set(states(root).values()) == {"runs"}, 20)
        assert [each for each in caplog.messages if each.endswith(": loop-models/hangs")]
    finally:
        for_ever.set()


def test_who_never_hears_that_it_has_its_turn_keeps_it_from_nobody(tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    root = installation(tmp_path, "models: [models/*]\ncompute: {at_once: 1}\n")
    for name in ("deaf", "well"):
        project(root / "models" / name, name)
    got: dict[str, list[Fact]] = {"deaf": [], "well": []}
    asked = threading.Event()

    def asking(name: str) -> Loop:
        def loop(options: UpOptions, stop: threading.Event) -> None:
            options.begun()
            if name == "well":
                asked.wait(20)
            request = RetrainRequested(model=name, at=AT, triggers=("slo(f1)",), reason="", severity=Severity.HIGH)
            options.told([request.caused_by(name)])
            while not stop.wait(0.01):
                got[name] = list(options.mail()) if name == "deaf" else [*got[name], *take(options.mail())]
                if any(isinstance(each, RetrainAdmitted) for each in got["deaf"]):
                    asked.set()

        return loop

    loops(quick, {name: asking(name) for name in got})
    quick.setattr(host, "_HUNG_S", 0.5)
    with hosting(root):
        wait(lambda: any(isinstance(each, RetrainAdmitted) for each in got["well"]), 20)
        wait(lambda: states(root) == {"models/deaf": "hangs", "models/well": "runs"}, 20)
    assert any(isinstance(each, RetrainQueued) for each in got["well"]), "it waited, as long as the other might begin"


def take(mail: deque[Fact]) -> list[Fact]:
    return [mail.popleft() for _ in range(len(mail))]


def test_a_turn_that_fails_keeps_no_mail_from_the_record(
    tmp_path: Path, quick: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Drainer) -> DrainReport:
        raise UnavailableError("the lake does not answer")

    quick.setattr(Drainer, "drain_once", fails)
    mail = deque[Fact]([queued("a"), queued("b")])
    heard, stop = list[Fact](), threading.Event()
    options = UpOptions(told=heard.extend, pages=False, effects=lambda _: NoEffects(), mail=lambda: mail)
    root = project(tmp_path / "m", "m")
    thread = threading.Thread(target=lambda: up(root, options, stop), daemon=True)
    with caplog.at_level(logging.ERROR, "anew.up"):
        thread.start()
        try:
            wait(lambda: not mail or not thread.is_alive(), 20)
            wait(lambda: "the lake does not answer" in caplog.text or not thread.is_alive(), 20)
        finally:
            stop.set()
            thread.join(20)
    assert [each.request for each in heard if isinstance(each, RetrainQueued)] == ["a", "b"]


def queued(request: str) -> RetrainQueued:
    return RetrainQueued(
        model="m", at=AT, wall=AT, request=request, reason="turn", detail="", due=AT, place=1, of=1
    ).caused_by(request)


def test_a_model_without_a_champion_is_named_with_what_its_last_run_came_to(
    tmp_path: Path, quick: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = installation(tmp_path)
    project(root / "models" / "m", "m")
    ended = TrainingEnded(model="m", at=AT, version="v1", outcome="failed", detail="0 rows", compute_s=1.0)
    promoted = VersionPromoted(model="m", at=AT, version="v2", digest="d", previous="", evidence=(), reason="")
    served = threading.Event()

    def failing(options: UpOptions, stop: threading.Event) -> None:
        options.begun()
        options.told([ended])
        while not stop.wait(0.01):
            options.mail().clear()
            if served.is_set():
                options.told([promoted])

    loops(quick, {"m": failing})

    def said() -> str:
        if states(root) != {"models/m": "runs"}:
            return "nothing"
        show(root, as_json=False)
        return capsys.readouterr().out

    with hosting(root):
        wait(lambda: f"unserved    models/m: v1 failed: 0 rows; what to do says: anew status {root}/models/m" in said())
        served.set()
        wait(lambda: "1 with a champion" in (text := said()) and "unserved" not in text)
