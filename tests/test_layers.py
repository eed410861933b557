"""Arrows point downwards only, foreign libraries have one home each, and the command line starts light."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "anew"

SHARED = {"numpy", "polars", "pyarrow", "scipy", "sklearn"}
"""The language of the data, spoken wherever rows or profiles are handled; the domain speaks none of it."""

HOMES = {
    "alembic": ("adapters.migrations",),
    "apprise": ("adapters.apprise_sink",),
    "argon2": ("adapters.password",),
    "croniter": ("adapters.cron_schedule",),
    "datasketches": ("stats.sketch",),
    "cryptography": ("adapters.signing",),
    "dbos": ("adapters.dbos_runtime",),
    "deltalake": ("adapters._delta_log",),
    "google": ("adapters.model_format_onnx",),
    "httptools": ("adapters.http_connection",),
    "fairlearn": ("adapters.fairlearn_disparity",),
    "jinja2": ("dashboard",),
    "markupsafe": ("dashboard",),
    "starlette": ("dashboard",),
    "uvicorn": ("adapters.page_server",),
    "anyio": ("dashboard",),
    "joblib": ("adapters.unpickle_child",),
    "authlib": ("adapters.oidc_provider",),
    "joserfc": ("adapters.oidc_provider",),
    "httpx": ("adapters.feast_online", "adapters.oidc_provider", "adapters.outbound", "app", "notebook.client"),
    "lightgbm": ("adapters.model_format_lightgbm", "app.demo_project", "app.ready_projects"),
    "mlflow": ("adapters.mlflow_",),
    "msgspec": ("adapters", "app", "cli", "dashboard", "gateway"),
    "obstore": ("adapters.s3_bucket",),
    "onnx": ("adapters.mlflow_", "adapters.model_format_onnx", "adapters.model_format_torch"),
    "onnxmltools": ("adapters.onnx_export",),
    "onnxruntime": ("adapters.model_format_onnx",),
    "psycopg": ("adapters.postgres_link", "adapters.sql_postgres"),
    "optuna": ("adapters.optuna_",),
    "openlineage": ("adapters.openlineage_sink",),
    "opentelemetry": ("adapters.otlp_sink",),
    "packaging": ("app.doctor.machine",),
    "pydantic": ("app",),
    "pydantic_core": ("app",),
    "pytest": ("testing",),
    "ray": ("adapters.ray_",),
    "rich": ("cli",),
    "river": ("stats.rise",),
    "skl2onnx": ("adapters.onnx_export",),
    "skops": ("adapters.model_format_skops",),
    "sqlalchemy": ("adapters.sql_", "adapters.migrations", "adapters.dbos_runtime", "adapters.mlflow_"),
    "structlog": ("app", "cli"),
    "torch": ("adapters.model_format_torch", "app.ready_projects"),
    "typer": ("cli",),
    "uvloop": ("adapters.http_server",),
    "xgboost": ("adapters.model_format_xgboost",),
    "yaml": ("app.model_card", "app.yaml_file"),
}
"""Where each other library may be imported: modules whose names, after `anew.`, begin so.

The demo's project is what a user writes, and imports what a user would.
"""

HEAVY = SHARED | {"alembic", "dbos", "deltalake", "lightgbm", "mlflow", "onnx", "onnxruntime", "optuna", "pandas"}
HEAVY |= {"ray", "river", "skops", "sqlalchemy", "torch", "xgboost"}
"""Libraries that nobody who asks for help should wait for."""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


def foreign_imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield module and library for each import of neither the standard library nor anew; modules without `anew.`."""
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                named = [node.module or ""]
            for library in {each.partition(".")[0] for each in named} - {"anew"}:
                if library not in sys.stdlib_module_names:
                    yield module, library


def misplaced(folder: Path) -> list[str]:
    """Return the foreign imports that stand in no home of theirs."""
    return [
        f"anew.{module} imports {library}"
        for module, library in foreign_imports(folder)
        if not (library in SHARED and not module.startswith("domain"))
        and not module.startswith(HOMES.get(library, ("no home",)))
    ]


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after `code`."""
    told = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, cwd=ROOT)
    return {each.partition(".")[0] for each in done.stdout.splitlines()[-1].split()}


def test_contracts_are_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


def test_contracts_find_planted_faults(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".importlinter", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "anew", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in {
        "domain/upwards.py": "import anew.ports.clock\n",
        "monitor/sideways.py": "import anew.trigger\n",
        "stats/clock.py": "import time\n",
        "domain/foreign.py": "import numpy\n",
        "elsewhere/__init__.py": "",
    }.items():
        (tmp_path / "anew" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "anew" / name).write_text(text)
    done = lint(tmp_path)
    assert done.returncode != 0
    for found in (
        "anew.domain is not allowed to import anew.ports",
        "anew.monitor is not allowed to import anew.trigger",
        "anew.stats is not allowed to import time",
        "anew.domain is not allowed to import numpy",
        "elsewhere",
    ):
        assert found in done.stdout


def test_foreign_libraries_stay_in_their_homes() -> None:
    assert misplaced(PACKAGE) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("loop/x.py", "from sqlalchemy import text\n"),
        ("domain/x.py", "import numpy.typing\n"),
        ("adapters/x.py", "def f():\n    import lightgbm\n"),
        ("adapters/x.py", "import of_nobody_knows_what\n"),
    ],
)
def test_misplaced_library_is_found(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(text)
    assert len(misplaced(tmp_path)) == 1


def test_import_of_anew_is_light() -> None:
    brought = modules_after("import anew") - modules_after("pass")
    assert brought - set(sys.stdlib_module_names) == {"anew"}


def test_help_imports_nothing_heavy() -> None:
    held = modules_after("import sys; sys.argv = ['anew', '--help']; from anew.cli import main; sys.exit(main())")
    assert "anew" in held
    assert not held & HEAVY


def test_who_only_asks_for_the_checks_of_a_project_imports_nothing_heavy() -> None:
    held = modules_after("import anew.cli.ci")
    assert "anew" in held
    assert not held & HEAVY


def test_heavy_import_would_be_seen() -> None:
    assert "numpy" in modules_after("import anew.monitor.psi; raise SystemExit")
