"""The lock files: exactly which files of which releases may be installed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

__all__ = ["LOCKS", "ROOT", "Pinned", "alike", "locked", "read_lock"]

ROOT = Path(__file__).parents[2]
LOCKS = tuple(sorted((ROOT / "requirements").glob("*.txt")))

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One release, and the SHA-256 of each file of it that may be installed; `lock` names the file that says so."""

    lock: str
    name: str
    version: str
    hashes: tuple[str, ...]


def read_lock(text: str, lock: str = "") -> list[Pinned]:
    """Return what a lock pins.

    Raises
    ------
    ValueError
        A line pins nothing: it has no exact version, no hash, or leads somewhere else than to a release by its name.
    """
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        wanted, *options = re.split(r"\s+(?=--)", line.strip())
        hashes = [match.group(1) for each in options if (match := _HASH.fullmatch(each.strip()))]
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement as exc:
            raise ValueError(f"{lock}: {line[:80]!r} is no release by name and version") from exc
        exact = re.fullmatch(r"==([^*,]+)", str(requirement.specifier))
        if requirement.url or exact is None or not hashes or len(hashes) != len(options):
            raise ValueError(f"{lock}: {line[:80]!r} is no exact release with a SHA-256 for each of its files")
        name = canonicalize_name(requirement.name)
        found.append(Pinned(lock=lock, name=name, version=exact.group(1), hashes=tuple(hashes)))
    return found


def locked() -> list[Pinned]:
    """Return what all the locks of this project pin."""
    return [each for path in LOCKS for each in read_lock(path.read_text("utf-8"), path.name)]


def alike(names: set[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of names that one slip of the hand makes of each other, of which one may be a trap.

    A slip is a sign too many, too few or another, two that changed places, or a dash more or less.
    """
    by_form: dict[str, set[str]] = {}
    for name in names:
        forms = {name, name.replace("-", "")} | {name[:i] + name[i + 1 :] for i in range(len(name))}
        forms |= {name[:i] + "?" + name[i + 1 :] for i in range(len(name))}
        forms |= {name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1)}
        for form in forms:
            by_form.setdefault(form, set()).add(name)
    pairs = {(one, other) for same in by_form.values() for one in same for other in same if one < other}
    yield from sorted(pair for pair in pairs if min(map(len, pair)) > 4)
