"""The settings in force, kept for the processes that begin while the project's files are being edited."""

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from anew.app.settings import FILE, Settings, load

__all__ = ["accept", "accepted", "accepted_folder", "is_accepted", "kept_code", "revision", "touched"]


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


def touched(settings: Settings) -> tuple[tuple[int, int, int], ...]:
    """Return what tells, without reading them, that the project's files were written since; nothing of one gone."""
    found = []
    for name in (FILE, settings.policy.pipeline):
        with suppress(OSError):
            seen = (settings.root / name).stat()
            found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns))
    return tuple(found)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:  # put aside by an editor for a moment, or gone; then `load` says so
        return type(exc).__name__


def kept_code(settings: Settings) -> Path:
    """Return where the copy of the code in force lies, once the project was brought up."""
    return accepted_folder(settings.root) / settings.policy.pipeline


def accepted_folder(project: Path) -> Path:
    """Return where that copy lies."""
    return project / ".anew" / "run" / "accepted"
