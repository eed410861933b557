"""The settings in force, kept for the processes that begin while the project's files are being edited."""

import hashlib
import os
from dataclasses import fields, replace
from pathlib import Path

from anew.app.settings import FILE, Settings, load
from anew.domain.errors import SettingsError

__all__ = ["accept", "accepted", "accepted_folder", "is_accepted", "keep_columns", "kept_code", "revision"]


def accept(settings: Settings) -> None:
    """Keep a copy of the files that `settings` were read from, durable on return.

    What has been edited since is not kept: it has yet to be read, and may be refused.
    """
    folder = accepted_folder(settings.root)
    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in ((settings.policy.pipeline, settings.code), (FILE, settings.digest)):
        data = (settings.root / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            return
        draft = folder / f".{name}"
        with draft.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(folder / name)


def accepted(project: Path) -> Settings:
    """Return the settings that were accepted last; those of the project's own files when none were.

    Raises
    ------
    NotFoundError, SettingsError
        As `load`.
    """
    folder = accepted_folder(project)
    if not (folder / FILE).is_file():
        return load(project)
    return replace(load(folder), root=project.resolve())


def is_accepted(settings: Settings) -> bool:
    """Are these the settings that were accepted last?"""
    file = accepted_folder(settings.root) / FILE
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == settings.digest


def revision(settings: Settings) -> str:
    """Return the digests of the project's files as they are now: those of its settings, of its code."""
    return "/".join(_digest(settings.root / name) for name in (FILE, settings.policy.pipeline))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:  # put aside by an editor for a moment, or gone; then `load` says so
        return type(exc).__name__


def kept_code(settings: Settings) -> Path:
    """Return where the copy of the code in force lies, once the project was brought up."""
    return accepted_folder(settings.root) / settings.policy.pipeline


def keep_columns(changed: Settings, begun: Settings) -> None:
    """Refuse settings with another model or other columns than the project has `begun` with: its lake has those.

    Raises
    ------
    SettingsError
        They have; what differs is named.
    """
    if changed.model != begun.model:
        raise SettingsError(f"{FILE}: the model is called {changed.model}, and this project began as {begun.model}")
    was, now = begun.columns, changed.columns
    old, new = ({column.name: column for column in columns.features} for columns in (was, now))
    said = {
        "gone": [name for name in old if name not in new],
        "new": [name for name in new if name not in old],
        "changed": [name for name in old if new.get(name, old[name]) != old[name]]
        + [
            field.name
            for field in fields(was)
            if field.name != "features" and getattr(was, field.name) != getattr(now, field.name)
        ],
    }
    told = "; ".join(f"{how}: {', '.join(names)}" for how, names in said.items() if names)
    if was != now:
        raise SettingsError(
            f"{FILE}: columns: a project keeps those that it began with ({told or 'their order differs'}); put them "
            "back, or begin another project beside this one"
        )


def accepted_folder(project: Path) -> Path:
    """Return where that copy lies."""
    return project / ".anew" / "run" / "accepted"
