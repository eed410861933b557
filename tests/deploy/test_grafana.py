"""The dashboard for Grafana, read by types that Grafana publishes of itself: what they do not know would be lost."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "examples" / "monitoring" / "grafana.json"
READER = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()
read = Dashboard.from_json(json.load(sys.stdin))
queries = [type(target).__module__ for panel in read.panels for target in panel.targets]
json.dump({"board": json.loads(JSONEncoder().encode(read)), "queries": queries}, sys.stdout)
"""


def as_read(board: dict[str, Any]) -> dict[str, Any]:
    """Return the board as Grafana's types write it down again, and of what kind they took each query for."""
    program = [str(ROOT / "build" / "deploy" / "bin" / "python"), "-c", READER]
    done = subprocess.run(program, input=json.dumps(board), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lost(given: Any, read: Any, at: str = "") -> Iterator[str]:
    """Yield where something that was given is missing, or another."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            yield from lost(value, read[name], f"{at}.{name}") if name in read else (f"{at}.{name}",)
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for place, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from lost(one, other, f"{at}[{place}]")
    elif given != read:
        yield at


def test_grafana_knows_all_that_the_dashboard_says() -> None:
    board = json.loads(BOARD.read_text())
    read = as_read(board)
    assert list(lost(board, read["board"])) == []
    assert set(read["queries"]) == {"grafana_foundation_sdk.models.prometheus"}


def test_control_what_grafana_does_not_know_is_found() -> None:
    board = json.loads(BOARD.read_text())
    board["panels"][0]["gridpos"] = board["panels"][0].pop("gridPos")
    board["panels"][1]["targets"][0]["exprs"] = board["panels"][1]["targets"][0].pop("expr")
    assert list(lost(board, as_read(board)["board"])) == [".panels[0].gridpos", ".panels[1].targets[0].exprs"]
