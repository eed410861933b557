"""Versions as plain values: where each stands, and what it was made of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anew.app.accepted import accepted
from anew.app.gates import chosen_gates
from anew.app.kept import kept_artifacts
from anew.app.model_card import Carded
from anew.app.status import project_status, state_folder
from anew.domain.errors import NotFoundError
from anew.domain.manifest import Manifest
from anew.registry import Standing
from anew.validate.model_card import ModelCard

__all__ = ["card_of", "card_sections", "list_versions", "show_version"]


def list_versions(project: Path) -> list[Mapping[str, Any]]:
    """Return every version with its standing.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    """
    found: list[Mapping[str, Any]] = project_status(project)["versions"]
    return found


def show_version(project: Path, version: str) -> Mapping[str, Any]:
    """Return what a version's verified artifact says of itself, and where the version stands.

    Raises
    ------
    NotFoundError
        There is no such version, or none of it is stored.
    IntegrityError
        What is stored is not what was signed.
    """
    versions = list_versions(project)
    record = next((each for each in versions if each["version"] == version), None)
    if record is None:
        known = ", ".join(each["version"] for each in versions[-10:]) or "none"
        raise NotFoundError(f"there is no version {version!r}; the newest are {known}")
    if not record["digest"] or record["standing"] == Standing.ARCHIVED:
        raise NotFoundError(f"nothing of {version} is stored: {record['reason'] or record['standing']}")
    state = state_folder(project)
    folder = kept_artifacts(state).get(record["digest"])
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return {**record, "manifest": manifest, "files": files, "search": _search(folder / "search.json")}


def card_of(project: Path, version: str) -> Carded:
    """Return what the card of a version is of; raises as `show_version` does."""
    found = show_version(project, version)
    manifest = Manifest.from_json(json.dumps(found["manifest"]))
    return Carded(name=accepted(project).model, version=version, digest=found["digest"], manifest=manifest)


def card_sections(project: Path) -> tuple[str, ...]:
    """Return what people have to write: what the gate asks for, or what it would."""
    return chosen_gates(accepted(project)).sections or ModelCard().sections


def _search(file: Path) -> Mapping[str, Any] | None:
    if not file.is_file():
        return None
    plain = json.loads(file.read_text("utf-8"))
    return {
        "metric": plain["plan"]["metric"],
        "trials": len(plain["trials"]),
        "best": plain["best"],
        "value": plain["value"],
    }
