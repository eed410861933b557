"""The account of the fault matrix is that of the tests: what failed, was left out or came again stands in it so."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.fault_rows import ROWS
from tests.reliability import Collector, written

ROOT = Path(__file__).parents[1]

TESTS = """
import pytest

@pytest.mark.fault("D1")
def test_good(record_property):
    record_property("figure", "18 of 18 kills survived")

@pytest.mark.fault("D1")
@pytest.mark.fault("A7")
def test_control_is_found():
    pass

@pytest.mark.fault("A10")
@pytest.mark.parametrize("bad", [False, True])
def test_bad(bad):
    assert not bad

@pytest.fixture
def broken():
    yield
    raise RuntimeError("the history is not what was acknowledged")

@pytest.mark.fault("S1")
def test_that_ends_badly(broken):
    pass

@pytest.mark.fault("S2")
@pytest.mark.skip
def test_left_out():
    pass

def test_of_no_row():
    pass
"""


def run(folder: Path, *options: str) -> dict[str, Any]:
    file = folder / "reliability.json"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.reliability",
        "-p",
        "no:cacheprovider",
        folder,
    ]
    subprocess.run(
        [*command, "--reliability", file, "-c", ROOT / "pyproject.toml", "--rootdir", folder, *options],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def page(folder: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, "-m", "tests.reliability", folder / "reliability.json"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_rows_are_counted_as_their_tests_ended_and_runs_add_up(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(TESTS)
    rows = run(tmp_path, "-n", "2")["rows"]
    assert list(rows) == ["A7", "A10", "D1", "S1", "S2"]
    assert rows["D1"] == {
        "passed": 2, "failed": 0, "skipped": 0, "controls": 1, "figures": ["18 of 18 kills survived"],
    }  # fmt: skip
    assert (rows["A10"]["passed"], rows["A10"]["failed"]) == (1, 1)
    assert rows["S1"]["failed"] == 1, "what its fixture finds afterwards fails it"
    assert (rows["S2"]["passed"], rows["S2"]["skipped"]) == (0, 1)
    printed = page(tmp_path)
    assert printed.returncode == 1
    assert "not passed: A10, S1, S2" in printed.stdout
    assert "| D1 | 2 | 0 | 0 | 18 of 18 kills survived |" in printed.stdout
    file.write_text(TESTS.replace("assert not bad", "pass").replace("raise RuntimeError", "RuntimeError"))
    assert run(tmp_path, "-k", "test_bad or ends_badly")["rows"]["D1"]["passed"] == 2, "of an earlier run"
    printed = page(tmp_path)
    assert (printed.returncode, "not passed: S2" in printed.stdout) == (0, True)


def test_a_campaign_runs_the_tests_of_its_rows_alone(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    rows = run(tmp_path, "--rows", "A7,S2")["rows"]
    assert list(rows) == ["A7", "D1", "S2"], "the control of A7 is one of D1 too"
    assert rows["D1"]["passed"] == 1
    (tmp_path / "reliability.json").unlink()
    assert run(tmp_path, "--rows", "A7,Z9")["rows"] == {}, "there is no row Z9, so nothing is run"


def marked() -> set[str]:
    """Return the rows that tests are marked with, read from the tests themselves."""
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "src" / "anew" / "testing").glob("contract_*.py")]
    texts = (path.read_text("utf-8") for path in files)
    return {name for text in texts for name in re.findall(r'pytest\.mark\.fault\("([A-Z]\d+)"\)', text)}


def shown(page: str) -> dict[str, str]:
    """Return the rows that a page shows, each with what it says is done."""
    return dict(re.findall(r"^\| ([A-Z]\d+) \| ([^|]+?) \| \d+ \|", page, re.M))


def test_every_mark_is_a_row() -> None:
    assert marked() <= ROWS.keys()


def test_the_readme_shows_every_row_that_is_tried() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    assert shown(page) == {name: ROWS[name] for name in ROWS if name in marked()}, "run make reliability"


def test_a_row_that_the_page_lacks_would_be_seen() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    stale = "".join(line for line in page.splitlines(keepends=True) if not line.startswith("| K1 |"))
    assert shown(stale).keys() == shown(page).keys() - {"K1"}


def test_a_page_has_what_was_found_between_its_marks(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    first = run(tmp_path, "--collect-only")
    assert first["tests"]["test_it.py::test_good"]["outcome"] == "collected"
    found = run(tmp_path)
    again = run(tmp_path, "--collect-only")
    assert again["tests"] == found["tests"], "what was found is not forgotten"
    page = written("before\n<!-- reliability: begin -->\nwhat was\n<!-- reliability: end -->\nafter\n", found)
    assert page.startswith("before\n<!--")
    assert page.endswith("-->\nafter\n")
    assert "what was\n" not in page
    assert "| D1 | disk full in the journal | 2 | 1 | 18 of 18 kills survived |" in page
    assert "O8 (old rows deleted while a run reads)" in page
    with pytest.raises(ValueError, match="no <!-- reliability"):
        written("before", found)


def test_runs_that_end_in_the_same_moment_all_stand_in_it(tmp_path: Path) -> None:
    file = tmp_path / "reliability.json"

    def run(number: int) -> None:
        report = pytest.TestReport(
            f"t{number}", ("t.py", number, "t"), {}, "passed", None, "call", user_properties=[("fault", "D1")]
        )
        collector = Collector(file)
        collector.pytest_runtest_logreport(report)
        collector.pytest_sessionfinish()

    with ThreadPoolExecutor(8) as runs:
        for each in [runs.submit(run, number) for number in range(40)]:
            each.result()
    assert len(json.loads(file.read_text())["tests"]) == 40
