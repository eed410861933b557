"""The demo's manners: an interruption in its middle, and a folder that is not its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ANEW = (sys.executable, "-m", "anew.cli")


def processes_of(folder: Path) -> list[int]:
    """Return the pids of processes whose command line names `folder`."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in command.read_bytes() and int(command.parent.name) != os.getpid():
                found.append(int(command.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.timeout(120)
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo = subprocess.Popen([*ANEW, "demo", "--folder", str(folder)], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    assert any("first champion" in line for line in demo.stdout)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 130
    demo.stdout.close()
    deadline = time.monotonic() + 30
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(folder) == []


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = subprocess.run([*ANEW, "demo", "--folder", str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 5
    assert "choose another" in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "mine"
