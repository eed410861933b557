"""The schema that editors are given is that of the file as it is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from anew.app.policy import ProjectPolicy, policy_schema
from anew.app.project_template import SCHEMA_FILE, create_skeleton
from anew.app.settings import load
from anew.app.yaml_file import read_yaml
from anew.domain.errors import SettingsError
from tests.app.small_project import write_project

SCHEMA = json.loads(policy_schema())


def section(of: dict[str, Any]) -> dict[str, Any]:
    name = of.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = SCHEMA["$defs"][name] if name else of
    return found


def test_a_new_project_names_its_schema_and_has_it(tmp_path: Path) -> None:
    create_skeleton(tmp_path / "fresh")
    first = (tmp_path / "fresh" / "anew.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA_FILE}"
    assert (tmp_path / "fresh" / SCHEMA_FILE).read_text() == policy_schema()


def test_the_schema_knows_every_key_of_a_new_project(tmp_path: Path) -> None:
    create_skeleton(tmp_path / "fresh")
    values = read_yaml(tmp_path / "fresh" / "anew.yaml").values
    assert set(SCHEMA["required"]) <= set(values) <= set(SCHEMA["properties"])
    for name, given in values.items():
        known = section(SCHEMA["properties"][name])
        if isinstance(given, dict):
            assert set(given) <= set(known["properties"])


@pytest.mark.parametrize("name", [each for each, part in SCHEMA["$defs"].items() if part["type"] == "object"])
def test_sections_take_no_unknown_key_and_say_what_each_is(name: str) -> None:
    part = SCHEMA["$defs"][name]
    assert part["additionalProperties"] is False
    assert all("description" in each or "$ref" in each for each in part["properties"].values())


def test_every_field_of_the_file_is_in_the_schema() -> None:
    names = {field.alias or name for name, field in ProjectPolicy.model_fields.items()}
    assert names == set(SCHEMA["properties"])
    assert SCHEMA["additionalProperties"] is False


def test_a_truth_value_is_taken_where_one_is_asked_for_and_nowhere_else(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    before = (root / "anew.yaml").read_text()
    (root / "anew.yaml").write_text(before + "dashboard: {serve: false}\n")
    assert load(root).policy.dashboard.serve is False
    (root / "anew.yaml").write_text(before + "dashboard: {serve: false, port: true}\n")
    with pytest.raises(SettingsError, match="truth value"):
        load(root)
