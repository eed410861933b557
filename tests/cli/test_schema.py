"""Every `--json` has its JSON Schema, shipped with the program, and what is printed is what it says."""

import json

import jsonschema_rs
import pytest

from anew.cli._help import commands
from tests.cli.schema import SCHEMAS, complaints

NAMES = [".".join(command) for command in commands()]


def test_every_command_has_a_schema_and_every_schema_a_command() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_says_which(name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"] == f"anew.{name}/1"
    assert schema["description"]


@pytest.mark.parametrize(
    "printed",
    [
        {"schema": "anew.validate/1", "data": {"model": "m", "valid": True, "problems": [], "more": 1}},
        {"schema": "anew.validate/1", "data": {"model": "m", "valid": True}},
        {"schema": "anew.validate/1", "data": {"model": "m", "valid": "yes", "problems": []}},
        {"schema": "anew.validate/1"},
    ],
)
def test_what_a_schema_does_not_say_is_complained_of(printed: object) -> None:
    assert complaints(json.dumps(printed))
    assert not complaints('{"schema": "anew.validate/1", "data": {"model": "m", "valid": true, "problems": []}}')
