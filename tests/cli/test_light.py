"""What answers at once imports little: the help, and the status of a project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.recorded import write_record

HEAVY = {"alembic", "dbos", "fairlearn", "lightgbm", "mlflow", "numpy", "pandas", "polars", "pyarrow", "scipy"}
HEAVY |= {"skops", "sklearn", "sqlalchemy", "uvicorn"}

PROGRAM = """
import sys
from anew.cli import main
sys.argv[0] = "anew"
try:
    main()
finally:
    print(*sorted(each for each in sys.modules if "." not in each), file=sys.stderr)
"""


def imported(*arguments: str) -> tuple[str, set[str]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return done.stdout, set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    out, modules = imported("--help")
    assert "Show what serves" in out
    assert modules & HEAVY == set()
    assert "pydantic" not in modules


@pytest.mark.parametrize("json_too", [True, False])
def test_status_imports_nothing_heavy(tmp_path: Path, json_too: bool) -> None:
    project = write_record(tmp_path / "p")
    out, modules = imported("status", str(project), *(["--json"] if json_too else []))
    assert modules & (HEAVY | {"pydantic", "typer"}) == set()
    assert json.loads(out)["data"]["champion"]["version"] == "v1" if json_too else "champion    v1" in out


def test_control_a_heavy_import_is_seen(tmp_path: Path) -> None:
    _, modules = imported("validate", str(write_record(tmp_path / "p")))
    assert modules & HEAVY
