"""The oldest releases that `pyproject.toml` admits, and the newest there are today, in environments of their own.

Only `make soak` runs it: it installs two environments from the registry that pip is set up for.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.system, pytest.mark.fault("O5"), pytest.mark.timeout(1800)]


def oldest() -> list[str]:
    """Return each direct dependency at its lower bound."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = []
    for each in told:
        name, bound = re.match(r"([\w.\[\]-]+)>=([\d.]+)", each).groups()  # type: ignore[union-attr]  # all have one
        marker = each.partition(";")[2]
        found.append(f"{name}=={bound}{'.*' if bound.count('.') < 2 else ''}{'; ' + marker if marker else ''}")
    return found


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_a_project_is_made_and_replayed_with(
    which: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("\n".join(oldest()) if which == "oldest" else "")
    python = str(home / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    subprocess.run([*pip, "--upgrade", "--constraint", str(wanted), str(ROOT)], check=True, cwd=tmp_path)
    rng = np.random.default_rng(3)
    x = rng.normal(size=2000)
    rows = {"at": pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 3, 24, 7), "1h", eager=True).head(2000)}
    pl.DataFrame({**rows, "x": x, "y": (x + 0.3 * rng.normal(size=2000) > 0).astype(int)}).write_parquet(
        tmp_path / "rows.parquet"
    )
    anew = [python, "-m", "anew.cli"]
    data = ("--data", str(tmp_path / "rows.parquet"), "--time", "at", "--target", "y", "--task", "classification")
    subprocess.run([*anew, "init", "project", *data], check=True, cwd=tmp_path)
    subprocess.run([*anew, "validate", str(tmp_path / "project")], check=True, cwd=tmp_path)
    done = subprocess.run(
        [*anew, "replay", str(tmp_path / "project"), "--data", str(tmp_path / "rows.parquet"), "--json"],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert '"schema": "anew.replay/1"' in done.stdout
    listed = subprocess.run([*pip[:-2], "list", "--format=freeze"], check=True, capture_output=True, text=True).stdout
    names = dict(line.split("==", 1) for line in listed.splitlines() if "==" in line)
    said = ", ".join(f"{name} {names[name]}" for name in ("numpy", "polars", "deltalake", "scikit-learn", "dbos"))
    record_property("figure", f"{which} dependencies ({said}): made, validated and replayed a project")
