"""Secrets by reference: the policy says where one is, never what it is."""

import os
from collections.abc import Sequence
from pathlib import Path

from anew.domain.errors import SettingsError

__all__ = ["is_reference", "is_url", "may_be_secret", "read_secret"]

_KINDS = ("env:", "file:")
_KEYS = frozenset({"client_secret", "database", "headers", "notify", "registry", "secret", "secrets", "token", "url"})
"""Keys of the policy beneath which a secret may stand though it should not."""


def is_reference(text: str) -> bool:
    """Does `text` say where a secret is: ``env:NAME`` or ``file:PATH``?"""
    return text.startswith(_KINDS) and len(text.partition(":")[2]) > 0


def is_url(text: str) -> bool:
    """Is it an http or https URL, with somebody to speak to?"""
    return text.startswith(("http://", "https://")) and bool(text.partition("://")[2].strip("/"))


def may_be_secret(path: Sequence[str | int]) -> bool:
    """May what stands at this place of the policy be a secret by mistake, so that no message repeats it?"""
    return not _KEYS.isdisjoint(path)


def read_secret(reference: str, root: Path) -> str:
    """Return the secret that `reference` names, without the line break at its end; a relative file lies in `root`.

    Raises
    ------
    SettingsError
        It is no reference, or there is nothing where it points. No message holds a secret.
    """
    kind, _, place = reference.partition(":")
    if not is_reference(reference):
        raise SettingsError("a secret does not stand in the policy: write env:NAME or file:PATH, which say where it is")
    if kind == "env":
        found = os.environ.get(place, "")
        if not found:
            raise SettingsError(f"env:{place}: there is no environment variable {place}, or it is empty")
        return found
    try:
        found = (root / place).read_text("utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"file:{place} cannot be read ({type(exc).__name__})") from exc
    if not found:
        raise SettingsError(f"file:{place} is empty")
    return found
