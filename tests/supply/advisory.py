"""Advisories about released packages, in the form of OSV, and those on record about what the locks pin.

``python -m tests.supply.advisory FOLDER`` puts on record what a checkout of the PyPA's advisory database (or any folder
of OSV records, YAML or JSON) says about every package of the locks, into ``requirements/advisories.json``.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tests.supply.lock import ROOT, Pinned, locked

__all__ = ["RECORD", "Hit", "affects", "hits", "recorded", "taken"]

RECORD = ROOT / "requirements" / "advisories.json"
_KEPT = ("id", "aliases", "affected", "withdrawn", "modified")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A release that an advisory is about."""

    pinned: Pinned
    id: str
    aliases: tuple[str, ...] = ()


def affects(advisory: Mapping[str, Any], name: str, version: str) -> bool:
    """Is this release affected? A version or a range that cannot be read is: nothing is passed over.

    A build of a release, as 2.13.0+cpu is of 2.13.0, is affected as the release is.

    Reference: the OSV schema 1.7, "evaluation" of `affected`.
    """
    if advisory.get("withdrawn"):
        return False
    about = [each for each in advisory["affected"] if _is_about(each, name)]
    plain = version.partition("+")[0]
    return any(
        not {plain, version}.isdisjoint(each.get("versions", ())) or _in_ranges(each.get("ranges", ()), plain)
        for each in about
    )


def _is_about(affected: Mapping[str, Any], name: str) -> bool:
    package = affected.get("package", {})
    return package.get("ecosystem") == "PyPI" and canonicalize_name(str(package.get("name", ""))) == name


def _in_ranges(ranges: Iterable[Mapping[str, Any]], version: str) -> bool:
    return any(_in_range(each["events"], version) for each in ranges if each.get("type") in ("ECOSYSTEM", "SEMVER"))


def _in_range(events: Sequence[Mapping[str, str]], text: str) -> bool:
    try:
        version = Version(text)
        told = sorted((_version(at), kind != "introduced", kind) for each in events for kind, at in each.items())
        inside = False
        for at, _, kind in told:
            if kind == "introduced" and version >= at:
                inside = True
            if (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
                inside = False
    except InvalidVersion:
        return True
    return inside


def _version(text: str) -> Version:
    return Version("0.dev0" if text == "0" else text)


def taken(records: Iterable[Mapping[str, Any]], names: set[str], at: date) -> dict[str, Any]:
    """Return what goes on record: for each of `names` what is said about it, in a form that does not change by itself.

    Parameters
    ----------
    at
        When the database was as it is.
    """
    found: dict[str, list[Mapping[str, Any]]] = {name: [] for name in sorted(names)}
    for record in records:
        about = {canonicalize_name(str(each.get("package", {}).get("name", ""))) for each in record.get("affected", ())}
        for name in about & names:
            affected = [_lean(each) for each in record["affected"] if _is_about(each, name)]
            kept = {field: record[field] for field in _KEPT if field in record} | {"affected": affected}
            if affected:
                found[name].append(kept)
    return {
        "schema": 1,
        "source": "the PyPA's advisory database, CC BY 4.0",
        "taken": at.isoformat(),
        "packages": {name: sorted(told, key=lambda each: each["id"]) for name, told in found.items()},
    }


def _lean(affected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the package with its ranges; the list of versions only where there are none."""
    ranges = [each for each in affected.get("ranges", ()) if each.get("type") in ("ECOSYSTEM", "SEMVER")]
    told = {"ranges": [{"type": each["type"], "events": each["events"]} for each in ranges]}
    return {"package": {name: affected["package"][name] for name in ("name", "ecosystem")}} | (
        told if ranges else {"versions": affected.get("versions", [])}
    )


def recorded() -> dict[str, Any]:
    """Return what is on record."""
    found: dict[str, Any] = json.loads(RECORD.read_text("utf-8"))
    return found


def hits(pins: Iterable[Pinned], record: Mapping[str, Any]) -> Iterator[Hit]:
    """Yield every release that an advisory is about.

    Raises
    ------
    ValueError
        A package was never looked for in the database, so nothing is known of it.
    """
    packages = record["packages"]
    for pinned in pins:
        if pinned.name not in packages:
            raise ValueError(
                f"{pinned.lock} pins {pinned.name}, of which no advisory was ever looked for: make advisories"
            )
        for advisory in packages[pinned.name]:
            if affects(advisory, pinned.name, pinned.version):
                yield Hit(pinned=pinned, id=advisory["id"], aliases=tuple(advisory.get("aliases", ())))


def _records(folder: Path) -> Iterator[Mapping[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".yaml", ".yml"):
            told = yaml.load(path.read_text("utf-8"), loader)  # noqa: S506  both are safe
        elif path.suffix == ".json":
            told = json.loads(path.read_text("utf-8"))
        else:
            continue
        if isinstance(told, dict) and "affected" in told:
            yield told


def main() -> int:
    """Put on record what a folder says; its newest change is its date."""
    records = list(_records(Path(sys.argv[1])))
    changed = max((str(each.get("modified", "")) for each in records), default="")
    if not changed:
        sys.stderr.write(f"{sys.argv[1]} holds no OSV records\n")
        return 2
    names = {each.name for each in locked()}
    made = taken(records, names, date.fromisoformat(changed[:10]))
    RECORD.write_text(json.dumps(made, indent=1, sort_keys=True, default=str) + "\n", "utf-8")
    told = sum(map(len, made["packages"].values()))
    sys.stdout.write(f"{told} advisories about {len(names)} packages, as of {made['taken']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
