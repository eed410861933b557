"""What every verb that changes something has in common: look before, bind it to who serves, ask where a person sits."""

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

from anew.app.routed import routed
from anew.app.status import project_status
from anew.cli._output import say
from anew.domain.errors import ConflictError, NotFoundError

__all__ = ["CHAMPION", "DRY_RUN", "YES", "Intent", "agreed", "check_champion", "intent_options", "serving"]

DRY_RUN = "say what it would come to, and change nothing"
YES = "do not ask; without a terminal nobody is asked"
CHAMPION = "exit 5 and change nothing unless this version serves now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """How a change is wanted: only looked at, without being asked, only while this version serves (empty: any)."""

    dry_run: bool = False
    yes: bool = False
    expect_champion: str = ""

    @classmethod
    def of(cls, given: Namespace) -> "Intent":
        """Return what the options of `intent_options` say."""
        return cls(dry_run=given.dry_run, yes=given.yes, expect_champion=given.expect_champion)


def intent_options(parser: ArgumentParser) -> None:
    """Declare the options of an `Intent`."""
    parser.add_argument("--expect-champion", default="", metavar="VERSION", help=CHAMPION)
    parser.add_argument("--dry-run", action="store_true", help=DRY_RUN)
    parser.add_argument("--yes", action="store_true", help=YES)


def serving(project: Path) -> str:
    """Return the version that serves: that of the routing in force, else that of the record; empty for none."""
    try:
        return routed(project).champion[0]
    except NotFoundError:
        return str((project_status(project)["champion"] or {"version": ""})["version"])


def check_champion(project: Path, intent: Intent) -> None:
    """Refuse the change when another version serves than it was meant for.

    Raises
    ------
    ConflictError
        Another serves.
    """
    if not intent.expect_champion:
        return
    found = serving(project) or "nobody"
    if found != intent.expect_champion:
        raise ConflictError(f"{found} serves, not {intent.expect_champion}; nothing was changed")


def agreed(intent: Intent, would: str, *, as_json: bool) -> bool:
    """Return whether to do what `would` says: not in a dry run, which says it; where a person says no, exit 1."""
    if intent.dry_run:
        if not as_json:
            say(f"would {would}")
        return False
    if intent.yes or as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write(f"This would {would}. Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        sys.stderr.write("nothing was changed\n")
        sys.exit(1)
    return True
