"""Holds the locks against the advisories on record: ``python -m tests.supply.audit``; 1 where a release is affected.

What is affected and stays has its reason in ``requirements/accepted.json``, until a day after which it counts again.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tests.supply.advisory import Hit, hits, recorded
from tests.supply.lock import ROOT, Pinned, alike, locked

__all__ = ["ACCEPTED", "OLDEST_DAYS", "accepted", "problems"]

ACCEPTED = ROOT / "requirements" / "accepted.json"
OLDEST_DAYS = 30
"""Age of the advisories that a release may rest on."""


def accepted(path: Path = ACCEPTED) -> Mapping[str, Any]:
    """Return what people decided: `advisories` by id with `until` and `why`, and `alike`, names that are no traps."""
    found: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def problems(
    pins: Sequence[Pinned], record: Mapping[str, Any], decided: Mapping[str, Any], today: date
) -> Iterable[str]:
    """Yield what is wrong with the locks, as lines for people.

    Raises
    ------
    ValueError
        Of some package no advisory was ever looked for.
    """
    for hit in hits(pins, record):
        reason = decided["advisories"].get(hit.id, {})
        if not reason.get("why") or today > date.fromisoformat(reason["until"]):
            yield _told(hit)
    known = {tuple(pair["names"]) for pair in decided["alike"] if pair["why"]}
    for one, other in alike({each.name for each in pins}):
        if (one, other) not in known:
            yield f"{one} and {other}: one slip apart; is either a trap? If not: accepted.json, alike"


def _told(hit: Hit) -> str:
    names = ", ".join((hit.id, *hit.aliases))
    return f"{hit.pinned.lock}: {hit.pinned.name} {hit.pinned.version}: {names}"


def main() -> int:
    """Print what is wrong; `--release` asks for advisories of the last `OLDEST_DAYS` days as well."""
    pins, record, today = locked(), recorded(), datetime.now(UTC).date()
    found = list(problems(pins, record, accepted(), today))
    age = (today - date.fromisoformat(record["taken"])).days
    if "--release" in sys.argv and age > OLDEST_DAYS:
        found.append(f"the advisories are of {record['taken']}, {age} days ago; a release needs newer: make advisories")
    for each in found:
        sys.stdout.write(f"{each}\n")
    files = sum(len(each.hashes) for each in pins)
    sys.stdout.write(
        f"{len(pins)} pins of {len({each.name for each in pins})} packages, {files} files by SHA-256; "
        f"advisories of {record['taken']}; {len(found)} problems\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
