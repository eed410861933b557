"""What somebody's code raised, in words: its text, whatever its ``__str__`` does, and its place in the pipeline."""

import traceback

__all__ = ["place_of", "text_of"]


def text_of(raised: BaseException) -> str:
    """Return its text; an exception whose ``__str__`` raises has one that says so.

    >>> text_of(ValueError("no rows"))
    'no rows'
    """
    return str(traceback.TracebackException(type(raised), raised, None, lookup_lines=False, compact=True))


def place_of(raised: BaseException) -> str:
    """Return the last line of a ``pipeline.py`` that it went through, as `` at FILE:LINE``; empty for none."""
    frames = [each for each in traceback.extract_tb(raised.__traceback__) if each.filename.endswith("pipeline.py")]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
