"""The tree of errors that anew raises on purpose.

AnewError
├── SettingsError(ValueError)        the project's files say something that cannot be
├── SchemaError(ValueError)          rows do not have the declared columns or types
├── InvariantError(ValueError)       a domain value that may not exist was about to
├── NotFoundError(LookupError)       a version, model or project that is not there
├── ConflictError                    somebody else was first
│   └── FencedError                  a writer whose lease has passed to another
├── PolicyError(PermissionError)     a policy said no
├── ForbiddenError(PermissionError)  whoever asks may not do this
├── UnavailableError(ConnectionError) something that is needed does not answer now
│   └── DiskFullError                there is no room for what is to be written
├── IntegrityError                   stored bytes are not the bytes that were stored
├── TrainingError                    a training run that ended without a candidate
└── MissingExtraError(ImportError)   an optional extra is not installed
"""

from typing import Any

__all__ = [
    "AnewError",
    "ConflictError",
    "DiskFullError",
    "FencedError",
    "ForbiddenError",
    "IntegrityError",
    "InvariantError",
    "MissingExtraError",
    "NotFoundError",
    "PolicyError",
    "SchemaError",
    "SettingsError",
    "TrainingError",
    "UnavailableError",
]


class AnewError(Exception):
    """Base of every error that anew raises on purpose. It can be sent to another process as it is."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how it is made again: by its message and attributes, not by what its class takes."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[AnewError], args: tuple[object, ...], held: dict[str, object]) -> AnewError:
    made = kind.__new__(kind)
    made.args = args
    made.__dict__.update(held)
    return made


class SettingsError(AnewError, ValueError):
    """The project's files ask for something that cannot be.

    Parameters
    ----------
    problems
        One sentence for each problem found, each with its place in the file.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class SchemaError(AnewError, ValueError):
    """Rows do not have the declared columns or types; `path` names the field."""

    def __init__(self, message: str, path: str = "") -> None:
        self.path = path
        super().__init__(message)


class InvariantError(AnewError, ValueError):
    """A domain value that may not exist was about to be made."""


class NotFoundError(AnewError, LookupError):
    """What was asked for is not there."""


class ConflictError(AnewError):
    """Somebody else was first; read again and decide again."""


class FencedError(ConflictError):
    """The writer's lease has passed to another holder; it must stop writing."""


class PolicyError(AnewError, PermissionError):
    """A policy of the project refused what was asked."""


class ForbiddenError(AnewError, PermissionError):
    """Whoever asks is not known, or may not do this."""


class UnavailableError(AnewError, ConnectionError):
    """Something that is needed does not answer now; trying later may help."""


class DiskFullError(UnavailableError):
    """There is no room on the disk for what is to be written; the message says where, and how much there should be."""


class IntegrityError(AnewError):
    """Stored bytes are not the bytes that were stored."""


class TrainingError(AnewError):
    """A training run ended without a candidate.

    Parameters
    ----------
    reason
        One word for machines: ``error``, ``killed``, ``oom``, ``timeout``, ``disk_full``, ``cancelled``.
    detail
        A sentence for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class MissingExtraError(AnewError, ImportError):
    """An optional part is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'anew[{extra}]'")
