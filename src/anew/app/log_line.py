"""The log of a process: one record is one line, whatever ids, names and messages of others are in it."""

import logging
import sys

__all__ = ["OneLine", "log_to_stderr"]

_FORM = "%(asctime)s %(levelname)s %(message)s"
_FORM_OF_MANY = "%(asctime)s %(levelname)s %(threadName)s %(message)s"


class OneLine(logging.Formatter):
    r"""Writes line breaks, and signs that steer a terminal or turn text round, as escapes; tracebacks too.

    >>> OneLine("%(message)s").format(logging.makeLogRecord({"msg": "refused id=a\nERROR forged"}))
    'refused id=a\\nERROR forged'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        text = super().format(record)
        return text if text.isprintable() else "".join(map(_plain, text))


def log_to_stderr(level: int, *, of_many: bool = False) -> None:
    """Have this process log to its standard error from `level` on; `of_many` models, each line with its thread."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(_FORM_OF_MANY if of_many else _FORM))
    logging.basicConfig(level=level, handlers=[handler])


def _plain(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode("ascii")
