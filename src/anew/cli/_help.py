"""Every command by name, and what its help says, read in this process."""

import importlib
import io
import sys
from contextlib import redirect_stdout, suppress

from anew.cli._light import main
from anew.cli._main import VERBS

__all__ = ["commands", "help_of"]


def commands() -> list[tuple[str, ...]]:
    """Return every command: a verb, or a verb and the name of one of its commands."""
    found: list[tuple[str, ...]] = []
    for verb in sorted(VERBS):
        inner = getattr(importlib.import_module(f"anew.cli.{verb}"), "COMMANDS", None)
        found += [(verb,)] if inner is None else [(verb, name) for name in inner]
    return found


def help_of(command: tuple[str, ...]) -> str:
    """Return what ``--help`` of a command prints."""
    before, printed = sys.argv, io.StringIO()
    sys.argv = ["anew", *command, "--help"]
    try:
        with redirect_stdout(printed), suppress(SystemExit):
            main()
    finally:
        sys.argv = before
    return printed.getvalue().strip()
