"""A file that a command writes is a new one, in a folder that is there."""

from pathlib import Path

from anew.domain.errors import ConflictError, NotFoundError

__all__ = ["require_new"]


def require_new(file: Path) -> None:
    """Refuse to write what is there already, or where no folder is.

    Raises
    ------
    ConflictError
        The file is there already.
    NotFoundError
        Its folder is not.
    """
    if file.exists():
        raise ConflictError(f"{file} is there already; name another file")
    if not file.parent.is_dir():
        raise NotFoundError(f"there is no folder {file.parent} to write {file.name} into; make it, or name another")
