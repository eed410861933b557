"""Where the dashboard of a project is served, as its process said last."""

import json
from pathlib import Path

from anew.adapters.process_table import process_started

__all__ = ["STATUS", "dashboard_address"]

STATUS = "run/dashboard.json"
"""In the project's ``.anew``."""


def dashboard_address(state: Path) -> str:
    """Return the address of the dashboard that is being served, empty when none is."""
    try:
        said = json.loads((state / STATUS).read_text("utf-8"))
        return str(said["url"]) if process_started(said["pid"]) == said["started"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
