"""Commands that run code of a project's own: its SystemExit and `os._exit` are told, and never the exit code 0."""

import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from anew.domain.errors import AnewError

__all__ = ["heard"]

P = ParamSpec("P")
_FAILED = 1


def heard(run: Callable[P, None]) -> Callable[P, None]:
    """Return the command so that the usual ends that code of a project makes are told.

    What raises SystemExit outside of this package raises an AnewError; `os._exit` in this process says what it ends,
    and its exit code is never 0. What ends the process past Python's `os` (`posix._exit`, `exit` in C) is not heard.
    """

    @functools.wraps(run)
    def ran(*args: P.args, **kwargs: P.kwargs) -> None:
        with _exits_told():
            try:
                run(*args, **kwargs)
            except SystemExit as exc:
                if _is_ours(exc):
                    raise
                frame = traceback.extract_tb(exc.__traceback__)[-1]
                said = _said(f"SystemExit: {exc} at {frame.filename}:{frame.lineno}")
                raise AnewError(said) from exc

    return ran


def _said(how: str) -> str:
    return (
        f"code of the project, or of a library that it uses, ended the command ({how}) before it was done; have it "
        "raise an exception instead"
    )


def _is_ours(raised: SystemExit) -> bool:
    at = raised.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and str(at.tb_frame.f_globals.get("__name__", "")).startswith("anew.")


@contextmanager
def _exits_told() -> Iterator[None]:
    """Tell of an `os._exit` of this process; those that it forked end as they mean to."""
    ours, end = os.getpid(), os._exit

    def told(code: int) -> None:
        if os.getpid() != ours:
            end(code)
        sys.stderr.write(f"anew: {_said(f'os._exit({code})')}\n")
        sys.stderr.flush()
        end(code or _FAILED)

    os._exit = told  # type: ignore[assignment]  # it never returns either
    try:
        yield
    finally:
        os._exit = end
