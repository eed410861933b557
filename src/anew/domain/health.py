"""What an examination of an installation found: one finding for each thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum

from anew.domain.errors import InvariantError

__all__ = ["Finding", "Health"]


class Health(StrEnum):
    """How something that was looked at stands; `SKIPPED` says that it could not be looked at, which is no praise."""

    GOOD = "good"
    SKIPPED = "skipped"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found about one thing.

    Parameters
    ----------
    name
        What was looked at, in a word or two that stay the same.
    found
        What was found, with its value.
    fix
        What to do about it; has to be said of what is bad.
    """

    name: str
    health: Health
    found: str
    fix: str = ""

    def __post_init__(self) -> None:
        if self.health is Health.BAD and not self.fix:
            raise InvariantError(f"{self.name}: {self.found}: what is bad needs a fix")

    @classmethod
    def good(cls, name: str, found: str) -> "Finding":
        """Nothing to do."""
        return cls(name=name, health=Health.GOOD, found=found)

    @classmethod
    def skipped(cls, name: str, found: str) -> "Finding":
        """It could not be looked at, or there is nothing to look at."""
        return cls(name=name, health=Health.SKIPPED, found=found)

    @classmethod
    def warning(cls, name: str, found: str, fix: str) -> "Finding":
        """Works now; somebody should look."""
        return cls(name=name, health=Health.WARNING, found=found, fix=fix)

    @classmethod
    def bad(cls, name: str, found: str, fix: str) -> "Finding":
        """Does not work, or something will be lost: somebody must act."""
        return cls(name=name, health=Health.BAD, found=found, fix=fix)
