"""How the mirror of a project stands, as its process said last."""

import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["STATUS", "mirror_status"]

STATUS = "mirror/status.json"
"""In the project's ``.anew``."""


def mirror_status(state: Path) -> Mapping[str, str] | None:
    """Return what the mirror said last of how it stands, None when there is none."""
    try:
        said = json.loads((state / STATUS).read_text("utf-8"))
        return {name: str(said[name]) for name in ("state", "detail", "at")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
