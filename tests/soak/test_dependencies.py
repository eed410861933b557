"""A newcomer's path with the oldest releases that `pyproject.toml` admits, and with the newest there are today.

Only `make soak` runs it: it installs two environments from the registry that pip is set up for.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = ROOT / "tests" / "docs" / "newcomer.py"

pytestmark = [pytest.mark.system, pytest.mark.fault("O5"), pytest.mark.timeout(1800)]


@pytest.mark.parametrize("lock", ["oldest", ""])
def test_the_path_of_a_newcomer_is_taken_with(
    lock: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder = tmp_path / "path"
    locked = [str(ROOT / "requirements" / f"{lock}.txt")] if lock else []
    done = subprocess.run(
        [sys.executable, str(PATH), str(folder), *locked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    python = str(folder / "env" / "bin" / "python")
    listed = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "list", "--format=freeze"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    names = dict(line.split("==", 1) for line in listed.stdout.splitlines() if "==" in line)
    said = ", ".join(f"{name} {names[name]}" for name in ("numpy", "polars", "deltalake", "scikit-learn", "dbos"))
    record_property("figure", f"{lock or 'newest'} dependencies ({said}): demo, own CSV and dashboard")
