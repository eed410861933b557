"""Facts from outside: time, commands of people, changed files."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from anew.domain.fact import Fact
from anew.domain.interval import require_utc

__all__ = [
    "FIRST",
    "ProjectChanged",
    "QuarantineReleased",
    "RetrainCommanded",
    "RollbackCommanded",
    "SourcePurged",
    "SubjectPurgeAsked",
    "SubjectPurged",
    "Ticked",
    "VersionArchived",
]

FIRST = "first/"
"""What the loop's own commands begin with, which ask for a first champion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked(Fact):
    """Time has passed: `at` in event time, `wall` by the clock on the wall.

    `tables` pairs each table of the lake with the version up to which what came late was looked through. `final` is the
    event time up to which scores of windows stand for good, whatever comes later; None where that is not said.
    """

    schema: ClassVar[int] = 3

    wall: datetime
    tables: tuple[tuple[str, int], ...] = ()
    final: datetime | None = None

    def __post_init__(self) -> None:
        super(Ticked, self).__post_init__()
        require_utc(self.wall, "wall")
        if self.final is not None:
            require_utc(self.final, "final")

    @property
    def key(self) -> str:
        """Ticks differ by both clocks."""
        return f"{self.at.isoformat()}/{self.wall.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainCommanded(Fact):
    """A person or a program asked for a retrain; `command` is unique, a repeat of it changes nothing.

    `held` says that cooldown and budget hold it, as they hold what a program asks.
    """

    schema: ClassVar[int] = 2

    command: str
    by: str
    reason: str
    held: bool = False

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command

    @property
    def by_loop(self) -> bool:
        """Did the loop itself ask, for a first champion, rather than a person?"""
        return self.command.startswith(FIRST)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackCommanded(Fact):
    """A person or a program asked to go back to the fallback, or to stop the rollout that is under way."""

    command: str
    by: str
    reason: str

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineReleased(Fact):
    """A person released a version that had been rolled back; only then may it be served again."""

    command: str
    version: str
    by: str
    reason: str

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePurged(Fact):
    """A person decided that nothing is learned from what `source` says, from now on; its rows stay on record.

    Snapshots that were taken before can still be made again; those that are taken after leave the rows out.
    """

    command: str
    source: str
    by: str
    reason: str

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectPurgeAsked(Fact):
    """A person asked that all rows of one subject be erased; asks for it.

    Whose rows, stands in a file that the erasing deletes: facts stay for ever, and name nobody.
    """

    asks: ClassVar[str] = "purge"

    command: str
    by: str
    reason: str

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectPurged(Fact):
    """The rows of one subject are gone, from every version of the tables: how many, and which snapshots with them.

    A version that was trained on one of these `snapshots` cannot be made again bit for bit.
    """

    ends: ClassVar[bool] = True

    command: str
    rows: tuple[tuple[str, int], ...]
    snapshots: tuple[str, ...]

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectChanged(Fact):
    """The project's files were read: the settings' and the code's digests from now on."""

    settings: str
    code: str

    @property
    def key(self) -> str:
        """A revision may come back, so the instant belongs to it."""
        return f"{self.settings}/{self.code}/{self.at.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionArchived(Fact):
    """The artifact of a version that was done with is deleted: it stays on record, and can serve no more."""

    command: str
    version: str
    digest: str
    by: str
    reason: str

    @property
    def key(self) -> str:
        """The command's own id."""
        return self.command
