"""Named boundaries between two steps that a crash may fall between; nothing happens there unless a test asks for it."""

from collections.abc import Callable

__all__ = ["hook", "reach"]

_hooks: list[Callable[[str], None]] = []


def hook(action: Callable[[str], None] | None) -> None:
    """Have `action` called with the name of every boundary that is reached; None takes it away again."""
    _hooks[:] = [] if action is None else [action]


def reach(name: str) -> None:
    """Mark that the boundary `name` is reached; costs a truth test when nothing is hooked.

    `name` is a literal ``part.boundary`` (``eventlog.appended``), so that a campaign can find them all in the source.
    """
    if _hooks:
        _hooks[0](name)
