"""A version whose calls are marked, so that the process after this one knows who ended it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anew.domain.column import Columns, Value
from anew.domain.observation import Answer
from anew.gateway.routing import Answerer
from anew.ports.version_mark import VersionMark

__all__ = ["MOST_ENDS", "Marked", "Unmarked"]

MOST_ENDS = 3
"""Processes that a version may end within minutes; then another answers in its place."""


@dataclass(slots=True)
class Marked:
    """Answers as `version_of` does. An end of the process within leaves the mark as it is."""

    version_of: Answerer
    mark: VersionMark
    version: str = field(init=False)
    digest: str = field(init=False)
    columns: Columns = field(init=False)

    def __post_init__(self) -> None:
        self.version, self.digest = self.version_of.version, self.version_of.digest
        self.columns = self.version_of.columns

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Answer each of `rows`, in order."""
        self.mark.enter(self.version)
        try:
            answers = self.version_of.answer(rows)
        except Exception:
            self.mark.leave()
            raise
        self.mark.leave()
        return answers


class Unmarked:
    """Says nothing to nobody: where no file can be kept."""

    def enter(self, version: str) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""

    def load(self, version: str) -> None:
        """Do nothing."""

    def loaded(self, version: str) -> None:
        """Do nothing."""

    @property
    def answered(self) -> bool:
        """Know of no process before."""
        return False

    def blame(self) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Do nothing."""

    def ends(self, version: str, *, loading: bool = False) -> int:  # noqa: ARG002 - the port's signature
        """Know of none."""
        return 0
