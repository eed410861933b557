"""The demo: the whole story with real processes, and an interruption in its middle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anew.app.demo_story import CHAPTERS
from tests.docs.screenshots import MOST_BYTES, pictures

pytestmark = pytest.mark.system

IMAGES = Path(__file__).parents[2] / "docs" / "images"

ANEW = (sys.executable, "-m", "anew.cli")


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that name `folder`."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = command.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said and int(command.parent.name) != os.getpid():
            found.append(said.replace(b"\0", b" ").decode())
    return found


def left_running(folder: Path) -> list[str]:
    """Return what still runs half a minute later: a job in a process of its own ends its work by itself."""
    deadline = time.monotonic() + 30
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes_of(folder)


@pytest.mark.timeout(500)
def test_every_part_of_the_story_happens(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        [*ANEW, "demo", "--folder", str(folder), "--json"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["schema"] == "anew.demo/1"
    report = said["data"]
    assert report["told"] == [chapter.name for chapter in CHAPTERS]
    assert report["acknowledged"] == report["stored"] == {"predictions": report["rows"], "labels": report["rows"]}
    assert report["failures"] == []
    assert report["refusals"] >= 1
    assert report["rollbacks"] >= 1
    assert report["error"] < 0.9 * report["error_never_retrained"]
    assert left_running(folder) == []

    status = subprocess.run([*ANEW, "status", str(folder), "--json"], capture_output=True, text=True, check=True)
    champion = json.loads(status.stdout)["data"]["champion"]["version"]
    explained = subprocess.run(
        [*ANEW, "explain", champion, "--project", str(folder)], capture_output=True, text=True, check=True
    ).stdout
    assert "alert" in explained
    assert f"{champion} promoted over" in explained

    taken = pictures(folder, tmp_path / "pictures")
    assert {each.name for each in taken} == {each.name for each in IMAGES.glob("*.png")}
    assert all(0 < each.stat().st_size < MOST_BYTES for each in taken), "pictures of the documentation are to be small"


@pytest.mark.timeout(120)
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo = subprocess.Popen([*ANEW, "demo", "--folder", str(folder)], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    try:
        assert any("first champion" in line for line in demo.stdout)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
    finally:
        demo.kill()
        demo.stdout.close()
        demo.wait(60)
    assert left_running(folder) == []


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = subprocess.run([*ANEW, "demo", "--folder", str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 5
    assert "choose another" in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "mine"
