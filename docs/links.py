"""What MkDocs does with our pages: decisions list themselves, and files outside the documentation get no link."""

import re
from pathlib import Path
from typing import Any

__all__ = ["on_config", "on_page_markdown"]

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./){2,}([^)]+)\)")


def on_config(config: Any) -> Any:
    """Add the decisions on record to the end of the navigation."""
    pages = sorted((Path(config["docs_dir"]) / "decisions").glob("*.md"))
    config["nav"].append({"Decisions": [f"decisions/{page.name}" for page in pages]})
    return config


def on_page_markdown(markdown: str, **_: object) -> str:
    """Name such a file instead of linking it."""
    return _OUTSIDE.sub(r"\1 (`\2`)", markdown)
