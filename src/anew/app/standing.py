"""How the models of an installation stand, as `anew up` said last: read without anything of theirs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anew.adapters.process_table import process_started
from anew.domain.errors import NotFoundError

__all__ = ["INSTALLATION", "installation_status", "is_installation", "say_standing"]

INSTALLATION = "installation.yaml"
"""The file that makes a folder of projects an installation."""


def is_installation(folder: Path) -> bool:
    """Is this the folder of an installation, rather than of one project?"""
    return (folder / INSTALLATION).is_file()


def installation_status(folder: Path) -> Mapping[str, Any]:
    """Return how the models stand: what was said last, and whether whoever said it still runs.

    Raises
    ------
    NotFoundError
        It was never brought up, or what was said cannot be read.
    """
    file = _file(folder)
    try:
        said: dict[str, Any] = json.loads(file.read_text("utf-8"))
        running = process_started(said["pid"]) == said.pop("started") and said["running"]
        return said if running else {**said, **_stopped(said)}
    except FileNotFoundError as exc:
        raise NotFoundError(_never_up(folder)) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise NotFoundError(f"{file} cannot be read ({exc!r}); bring the models up with: anew up {folder}") from exc


def _never_up(folder: Path) -> str:
    """Say what is to be done about a folder in which nothing was said of several models."""
    if is_installation(folder):
        return f"the models of {folder} were never brought up; do so with: anew up {folder}"
    if (folder / "anew.yaml").is_file():
        return f"{folder} is one project and no installation of several; how it stands says: anew status {folder}"
    return f"{folder} is no installation: it has no {INSTALLATION}, which names the projects that run together"


def _stopped(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is otherwise of what was said, now that nobody runs the loops, however that came."""
    models = [{**each, "state": "stopped"} for each in said["models"]]
    return {"running": False, "models": models, "compute": {**said["compute"], "under_way": []}, "queue": []}


def say_standing(folder: Path, said: Mapping[str, Any]) -> None:
    """Put it where `installation_status` reads it."""
    file = _file(folder)
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps({**said, "started": process_started(said["pid"])}), "utf-8")
    draft.replace(file)


def _file(folder: Path) -> Path:
    return folder / ".anew" / "installation.json"
