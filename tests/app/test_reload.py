"""A running loop reads changed files before it hears what people ask for: they mean what they have just written."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from anew.adapters.memory import ManualClock
from anew.app.accepted import touched
from anew.app.reading import Reading, Step
from anew.app.settings import load
from anew.app.up import UpOptions, _Up
from anew.domain.errors import SettingsError
from tests.app.small_project import write_project


class _Turns:
    """Ends the loop after some turns; before each something may be done."""

    def __init__(self, *before: Any) -> None:
        self._before = list(before)

    def wait(self, _: float) -> bool:
        """Do what comes before the next turn."""
        if not self._before:
            return True
        self._before.pop(0)()
        return False


def _ordered(project: Path, monkeypatch: pytest.MonkeyPatch, *before: Any, reload: Any = lambda: None) -> list[str]:
    """Return what a loop does in turns between which no time passes, in order."""
    said: list[str] = []
    stores: Any = SimpleNamespace(clock=ManualClock(), lake=MagicMock(), journals=MagicMock(), log=MagicMock())
    up = _Up(load(project), stores, UpOptions(), MagicMock(), MagicMock())
    loop = MagicMock()
    loop.hear.side_effect = lambda *_: said.append("hear")
    loop.turn.side_effect = lambda *_: said.append("turn")
    loop.pending.return_value = ()
    up._loop, up._observer, up._workers = loop, MagicMock(), MagicMock()
    up._workers.keep.return_value = ()

    def read(*_: object) -> None:
        said.append("read")
        reload()

    monkeypatch.setattr(up, "_reload", read)
    up._turns(cast("Any", _Turns(*before)), MagicMock(), MagicMock())
    return said


def test_a_changed_file_is_read_before_the_next_command_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_project(tmp_path / "p")

    def edit() -> None:
        with (project / "pipeline.py").open("a") as code:
            code.write("# mended\n")

    said = _ordered(project, monkeypatch, lambda: None, lambda: None, edit, lambda: None, lambda: None)
    assert said == ["read", "hear", "turn", "hear", "turn", "read", "hear", "turn", "hear", "turn"]


def test_a_file_that_is_being_written_is_waited_for_and_holds_up_no_more_than_a_second() -> None:
    clock, looks = ManualClock(), 0
    reading = Reading(lambda: looks, clock)
    assert (reading.look(), reading.look()) == (Step.READ, Step.GO)
    for _ in range(3):
        looks += 1
        assert reading.look() is Step.WAIT
    assert (reading.look(), reading.look()) == (Step.READ, Step.GO), "it was written, and looks the same twice"
    steps = []
    for _ in range(30):
        looks += 1
        clock.advance(0.1)
        steps.append(reading.look())
    assert Step.READ not in steps
    assert 2 <= steps.count(Step.GO) <= 3
    looks += 1
    assert (reading.look(), reading.look()) == (Step.WAIT, Step.READ)


def test_control_files_that_look_the_same_are_read_each_second() -> None:
    clock = ManualClock()
    reading = Reading(lambda: "same", clock)
    assert (reading.look(), reading.look()) == (Step.READ, Step.GO)
    clock.advance(1.0)
    assert (reading.look(), reading.look()) == (Step.READ, Step.GO)


def test_what_cannot_be_read_keeps_no_turn_from_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise SettingsError("nonsense")

    said = _ordered(write_project(tmp_path / "p"), monkeypatch, lambda: None, reload=fails)
    assert said == ["read", "hear", "turn"]


def test_a_file_of_the_same_length_and_one_that_is_put_in_its_place_or_gone_are_seen(tmp_path: Path) -> None:
    project = write_project(tmp_path / "p")
    settings, file = load(project), project / "pipeline.py"
    seen = [touched(settings)]
    assert touched(settings) == seen[0]
    os.utime(file, ns=(1, 1))
    seen.append(touched(settings))
    other = project / "other.py"
    other.write_text(file.read_text())
    os.utime(other, ns=(1, 1))
    other.replace(file)
    seen.append(touched(settings))
    file.unlink()
    seen.append(touched(settings))
    assert len(set(seen)) == len(seen)
