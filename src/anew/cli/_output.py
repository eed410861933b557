"""What the command line prints: data on stdout, talk on stderr."""

import json
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["emit_json", "say"]


def emit_json(schema: str, data: Mapping[str, Any]) -> None:
    """Print the envelope ``{"schema": …, "data": …}`` on stdout as one line of JSON."""
    json.dump({"schema": schema, "data": data}, sys.stdout, allow_nan=False, ensure_ascii=False)
    sys.stdout.write("\n")


def say(text: str = "") -> None:
    """Print a line for people on stdout."""
    sys.stdout.write(f"{text}\n")
