"""What a project's folder is checked out at."""

from dataclasses import dataclass

__all__ = ["CodeRevision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRevision:
    """A commit, whether the folder has changes that are in none, and the address of the repository, without secrets.

    All empty where the folder is in no repository, or nobody can tell.
    """

    commit: str = ""
    dirty: bool = False
    repository: str = ""
