"""The command line: one file per verb; parses, calls app, prints."""

from anew.cli._light import main

__all__ = ["main"]
