"""Passwords by Argon2id: a hash that is slow on purpose and takes memory, so that guessing is dear."""

import unicodedata
from math import ceil
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from anew.domain.errors import PolicyError, UnavailableError

__all__ = ["LONGEST", "SHORTEST", "check_password", "hash_password"]

SHORTEST, LONGEST = 12, 128
"""Characters of a password."""

_PER_SIGN = 4
"""Signs as keyboards send them that NFKC makes one of, at most: a letter with three marks."""
_HASHER = PasswordHasher()  # RFC 9106's choice for machines with little memory: 64 MiB, 3 passes, 4 lanes
_NOBODY = (
    f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    f"${'A' * ceil(_HASHER.salt_len * 8 / 6)}${'A' * ceil(_HASHER.hash_len * 8 / 6)}"
)
"""As long to compare with as anybody's, and no password is known to be its own."""
_AT_ONCE = BoundedSemaphore(2)
"""Of 64 MiB each: whoever sends many passwords waits, and takes no more memory than this."""
_PATIENCE_S = 2.0


def hash_password(password: str) -> str:
    """Return what is kept of a password.

    Raises
    ------
    PolicyError
        It is too short or too long to be one.
    """
    plain = _plain(password)
    if not SHORTEST <= len(plain) <= LONGEST:
        raise PolicyError(f"a password has {SHORTEST} to {LONGEST} characters; this one has {len(plain)}")
    return _HASHER.hash(plain)


def check_password(kept: str, password: str) -> bool:
    """Is it the password of which this is kept? Of an empty `kept` none is, after as long a time; nor is any too long.

    Raises
    ------
    UnavailableError
        Too many are being checked.
    """
    plain = _plain(password)
    if len(plain) > LONGEST:
        kept, plain = "", ""
    if not _AT_ONCE.acquire(timeout=_PATIENCE_S):
        raise UnavailableError("too many people are signing in at once; try again in a moment")
    try:
        same = _HASHER.verify(kept or _NOBODY, plain)
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _AT_ONCE.release()
    return same and bool(kept)


def _plain(password: str) -> str:
    """Return the password as it is hashed: the same, however a keyboard composes its signs.

    What is cut from a very long one leaves more signs than a password has.
    """
    return unicodedata.normalize("NFKC", password[: _PER_SIGN * LONGEST + 1])
