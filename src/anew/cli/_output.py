"""What the command line prints: data on stdout, talk on stderr."""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["emit_json", "minute", "remark", "say", "written_out"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Signs that a terminal obeys, line breaks and tabs apart, or that put what follows in another order."""


def emit_json(schema: str, data: Mapping[str, Any]) -> None:
    """Print the envelope ``{"schema": …, "data": …}`` on stdout as one line of JSON."""
    text = json.dumps({"schema": schema, "data": data}, allow_nan=False, ensure_ascii=False)
    sys.stdout.write(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def minute(at: str) -> str:
    """Return an instant of ISO 8601 as people read it, to the minute."""
    return at[:16].replace("T", " ")


def say(text: str = "") -> None:
    """Print a line for people on stdout; what would steer a terminal is written out."""
    sys.stdout.write(written_out(text) + "\n")


def remark(text: str) -> None:
    """Print a line for people on stderr; what would steer a terminal is written out."""
    sys.stderr.write(written_out(text) + "\n")


def written_out(text: str) -> str:
    """Return a text in which what would steer a terminal is written out."""
    return _CONTROL.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
