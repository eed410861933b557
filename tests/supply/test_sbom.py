"""What a release says it runs with is a bill of materials as CycloneDX defines one."""

import hashlib
import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.supply.lock import ROOT
from tests.supply.release import sbom

pytestmark = pytest.mark.fault("H12")

FOLDER = Path(__file__).with_name("cyclonedx")
SCHEMAS = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
REGISTRY = jsonschema_rs.Registry([(schema["$id"], schema) for schema in SCHEMAS.values()])
OFFICIAL = jsonschema_rs.validator_for(SCHEMAS["bom-1.6.schema.json"], registry=REGISTRY, validate_formats=True)
LOCK = (ROOT / "requirements" / "run.txt").read_text("utf-8")


def wrong_with(told: Any) -> list[str]:
    """Return what the official schema has against it, and what it asks for in words alone: that names are of one."""
    found = [error.message for error in OFFICIAL.iter_errors(told)]
    refs = [each["bom-ref"] for each in told["components"]] + [told["metadata"]["component"]["bom-ref"]]
    found += [f"{ref} is named twice" for ref in set(refs) if refs.count(ref) > 1]
    named = [name for each in told["dependencies"] for name in (each.get("ref"), *each["dependsOn"])]
    return found + [f"{name} is nothing that is described" for name in named if name not in refs]


def test_the_schemas_are_the_project_s_own() -> None:
    told = dict(re.findall(r"^\| (\S+) \| .* \| ([0-9a-f]{64}) \|$", (FOLDER / "README.md").read_text("utf-8"), re.M))
    assert told == {name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() for name in SCHEMAS}


def test_the_bill_of_what_is_locked_is_as_the_official_schema_says(
    record_property: Callable[[str, object], None],
) -> None:
    told = json.loads(json.dumps(sbom("1.2.3", LOCK)))
    assert wrong_with(told) == []
    record_property("figure", f"{len(told['components'])} components in an SBOM of CycloneDX {told['specVersion']}")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told.pop("specVersion"),
        lambda told: told.update(bomFormat="SPDX"),
        lambda told: told.update(version="1"),
        lambda told: told.update(made_by="hand"),
        lambda told: told.update(serialNumber="urn:uuid:none"),
        lambda told: told["components"][0].pop("name"),
        lambda told: told["components"][0].update(type="wheel"),
        lambda told: told["components"][0].update(hashes=[{"alg": "SHA-256", "content": "short"}]),
        lambda told: told["components"][0].update(licenses=[{"license": {"id": "Apache 2"}}]),
        lambda told: told["components"][0].update(sha256="0" * 64),
        lambda told: told["components"].append(deepcopy(told["components"][0])),
        lambda told: told["components"].pop(0),
        lambda told: told["dependencies"][0].update(dependsOn=["pkg:pypi/nothing@1"]),
        lambda told: told["dependencies"][0].pop("ref"),
    ],
)
def test_planted_a_bill_that_is_none_is_found(spoil: Callable[[Any], object]) -> None:
    told = json.loads(json.dumps(sbom("1.2.3", LOCK)))
    spoil(told)
    assert wrong_with(told)
