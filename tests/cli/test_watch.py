"""`anew watch`: lines where nobody sits at a terminal, a screen where somebody does, and a clean end of both."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from anew.app.looks import Look, looks
from anew.cli.watch import _screen
from tests.cli.call import call
from tests.cli.recorded import write_record

ANEW = Path(sys.executable).with_name("anew")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_record(tmp_path / "small")


def test_without_a_terminal_each_decision_is_a_line(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = call(capsys, monkeypatch, "watch", project, "--once")
    assert called.code == 0
    assert "v1" in called.out
    assert "\x1b" not in called.out
    told = json.loads(call(capsys, monkeypatch, "watch", project, "--once", "--json").out)
    assert told["schema"] == "anew.watch/1"
    assert told["data"]["status"]["champion"]["version"] == "v1"
    assert {"id", "kind", "at", "said"} == set(told["data"]["facts"][0])
    assert call(capsys, monkeypatch, "watch", project / "nowhere").code == 4


def test_the_record_is_read_on_from_where_it_was(project: Path) -> None:
    def pause(_: float) -> None:
        pauses.append(1)

    pauses: list[int] = []
    seen: Iterator[Look] = looks(project, 0.1, pause)
    first = next(seen)
    assert first.facts
    assert not next(seen).facts
    assert pauses == [1]


def test_the_screen_has_what_matters_and_no_markup_of_the_record(project: Path) -> None:
    look = next(looks(project, 1.0))
    status = dict(look.status) | {"model": "[red]x[/red]", "workers": [
        {"worker": "0", "port": 80, "epoch": 3, "counts": {"predictions": 1234}, "problem": "[bold]lost[/bold]"},
    ]}  # fmt: skip
    console = Console(width=70, height=24, record=True, force_terminal=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115  rich closes nothing
    console.print(_screen(Look(status=status, facts=look.facts, problem="locked"), list(look.facts), 24))
    said = console.export_text()
    for each in ("[red]x[/red]", "champion", "v1", "1,234 predictions", "[bold]lost[/bold]", "decisions", "locked"):
        assert each in said
    assert all(len(line) <= 70 for line in said.splitlines())
    console.file.close()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (40, 12)])
def test_the_newest_decision_is_on_the_screen_whatever_else_there_is_to_say(
    project: Path, width: int, height: int
) -> None:
    look, long = next(looks(project, 1.0)), "a reason that goes on " * 20
    champion = dict(look.status["champion"]) | {"reason": long}
    arms = [champion | {"version": f"v{i}", "standing": "challenger"} for i in (2, 3)]
    worker = {"port": 80, "epoch": 3, "counts": {"predictions": 1}, "problem": ""}
    workers = [worker | {"worker": str(i)} for i in range(40)] + [worker | {"worker": "x", "problem": "lost " + long}]
    measured = {"value": 0.1, "low": 0.05, "high": 0.2, "n": 60, "problem": ""}
    status = dict(look.status) | {
        "champion": champion, "versions": [champion, *arms], "workers": workers, "holder": long,
        "last_score": dict(look.status["last_score"]) | {"metrics": {f"metric {i}": measured for i in range(9)}},
        "traffic": dict(look.status["traffic"] or {}) | {
            "stage": "ab", "epoch": 3, "fallback": "", "arms": [{"version": f"v{i}", "share": 0.2} for i in (2, 3)]
        },
    }  # fmt: skip
    last = [replace(fact, at=fact.at + timedelta(days=i)) for i, fact in enumerate([*look.facts] * 20)]
    shown = _lines_of(_screen(Look(status=status, facts=(), problem=long), last, height), width)
    assert len(shown) == height, "all of the screen is used, and nothing is cut off"
    assert shown[-1].startswith(f"{last[-1].at:%m-%d %H:%M}")
    for each in ("v2 since", "v3 since", "20% to v2, 20% to v3", "gateway x"):
        assert any(each in line for line in shown)


def _lines_of(screen: RenderableType, width: int) -> list[str]:
    with Path(os.devnull).open("w") as nowhere:
        console = Console(width=width, record=True, file=nowhere)
        console.print(screen)
        return console.export_text().splitlines()


@pytest.mark.parametrize("colours", [True, False])
def test_at_a_terminal_it_leaves_cleanly_and_is_coloured_unless_told_not_to_be(project: Path, colours: bool) -> None:
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"} | ({} if colours else {"NO_COLOR": "1"})
    with subprocess.Popen(
        [ANEW, "watch", project], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as program:
        os.close(theirs)
        shown = _until(ours, b"decisions")
        assert b"\x1b[?1049h" in shown  # the other screen
        assert bool(re.search(rb"\x1b\[(?:\d+;)*3[1-7]m", shown)) == colours
        program.send_signal(signal.SIGINT)
        shown = _until(ours, b"\x1b[?1049l")  # and back
        assert program.wait(20) == 0
        assert b"Traceback" not in shown
        assert b"\x1b[?25h" in shown  # the cursor too
    os.close(ours)


def test_who_reads_it_may_go(project: Path) -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    with subprocess.Popen([ANEW, "watch", project], stdout=ours, stderr=subprocess.PIPE, text=True) as program:
        os.close(ours)
        assert program.stderr is not None
        assert program.wait(20) == 0, "it ends with the first line that nobody reads"
        assert program.stderr.read() == ""


def _until(terminal: int, mark: bytes) -> bytes:
    shown, deadline = b"", time.monotonic() + 30
    while mark not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 1.0)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
    return shown
