"""Asks Git what a folder is checked out at, where there is Git."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from anew.ports.code import CodeRevision

__all__ = ["code_revision"]

_PATIENCE_S = 10.0


def code_revision(folder: Path, files: Sequence[str]) -> CodeRevision:
    """Return what `folder` is checked out at; `files` are those that have to be in the commit.

    It counts as changed when a file that Git knows differs from the commit, or one of `files` is not known to it. Data
    and results beside them do not count. Where Git is not, refuses, or takes too long, nothing is known.
    """
    try:
        commit = _git(folder, "rev-parse", "--verify", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
        known = _git(folder, "ls-files", "--", *files).splitlines()
    except (OSError, subprocess.SubprocessError):
        return CodeRevision()
    return CodeRevision(commit=commit, dirty=bool(changed) or len(known) < len(files), repository=_repository(folder))


def _repository(folder: Path) -> str:
    """Return the address of `origin`, empty for none: a user's name or password in it is left out."""
    try:
        url = _git(folder, "remote", "get-url", "origin")
    except (OSError, subprocess.SubprocessError):
        return ""
    if "://" not in url:
        return f"ssh://{url.partition(':')[0]}/{url.partition(':')[2]}" if "@" in url and ":" in url else ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "ssh", "git"):
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _git(folder: Path, *words: str) -> str:
    """Run Git without prompts, locks, or programs that a repository names."""
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *words]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    done = subprocess.run(  # noqa: S603  Git itself, with words of ours
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE_S,
        check=True,
    )
    return done.stdout.strip()
