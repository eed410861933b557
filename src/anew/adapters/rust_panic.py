"""What Polars and deltalake raise when their Rust side gives up, made an error like others.

A panic is no Exception: unhandled, it ends a thread without a word, and a command with a traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["RustPanicError", "without_panic"]


class RustPanicError(Exception):
    """Code in Rust gave up; the message is its own."""


@contextmanager
def without_panic() -> Iterator[None]:
    """Raise RustPanicError for a panic in Rust; all else goes by as it is."""
    try:
        yield
    except BaseException as exc:
        # Each extension has a class of its own for it, and none of them can be imported.
        if type(exc).__name__ != "PanicException":
            raise
        raise RustPanicError(f"the code in Rust gave up ({exc})") from exc
