"""What the shipped JSON Schemas say of what a verb prints."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

import anew.cli

__all__ = ["SCHEMAS", "complaints"]

SCHEMAS = Path(anew.cli.__file__).parent / "schemas"


def complaints(printed: str) -> list[str]:
    """Return what is wrong with one line of ``--json``; a field that the schema does not name is wrong here."""
    plain = json.loads(printed)
    name = plain["schema"].removeprefix("anew.").removesuffix("/1")
    return [f"{error.instance_path}: {error.message}" for error in _validator(name).iter_errors(plain)]


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    return jsonschema_rs.Draft202012Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    """Return the schema with every object closed: what is printed has to be described."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "properties" in closed and isinstance(closed["properties"], dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
