"""What comes from code of a project's own steers no terminal, wherever a command tells of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from anew.app.up import UpOptions
from anew.domain.errors import SettingsError
from anew.domain.facts import EffectFailed, Ticked, TrafficApplied, TrafficShifted
from tests.adapters.fact_samples import sample
from tests.cli.call import call
from tests.cli.recorded import write_record

RED = "\x1b[31mred"


def _raises(_: object) -> None:
    raise SettingsError(RED)


def test_what_a_training_raised_is_written_out_by_the_loop_that_tells_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = sample(EffectFailed)
    assert isinstance(failed, EffectFailed)

    def up(_project: Path, options: UpOptions, _stop: Event) -> None:
        options.told([replace(failed, detail=f"train() raised ValueError: {RED}")])
        options.progress(RED)

    monkeypatch.setattr("anew.cli.up.up", up)
    told = call(capsys, monkeypatch, "up", write_record(tmp_path / "p"))
    assert "raised ValueError: \\x1b[31mred" in told.out
    assert "\\x1b[31mred" in told.err
    assert "\x1b" not in told.out + told.err


def test_the_loop_tells_when_traffic_is_asked_for_and_when_it_is_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(_project: Path, options: UpOptions, _stop: Event) -> None:
        options.told([sample(TrafficShifted), sample(TrafficApplied), sample(Ticked)])

    monkeypatch.setattr("anew.cli.up.up", up)
    asked, applied = call(capsys, monkeypatch, "up", write_record(tmp_path / "p")).out.splitlines()
    assert "traffic: " in asked
    assert "is in force at" in applied


@pytest.mark.parametrize(
    ("command", "fails"), [("validate", "anew.cli.validate.load"), ("status", "anew.cli.status.project_status")]
)
def test_what_ends_a_command_is_written_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, fails: str
) -> None:
    raising: Callable[[object], None] = _raises
    monkeypatch.setattr(fails, raising)
    told = call(capsys, monkeypatch, command, write_record(tmp_path / "p"))
    assert told.code == 2
    assert "\\x1b[31mred" in told.err
    assert "\x1b" not in told.out + told.err
