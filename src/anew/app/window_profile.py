"""What a version saw over a period: the stored profiles of its windows, added up and compared with its reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.adapters.profile_folder import ProfileFolder
from anew.app.kept import artifact_files
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.domain.errors import IntegrityError, InvariantError, NotFoundError
from anew.domain.facts import VersionPromoted, WindowClosed
from anew.domain.interval import Interval
from anew.stats.comparison import Measurement, measure
from anew.stats.profile import Profile, Reference

__all__ = ["PeriodProfile", "period_profile"]

_REFERENCE = "reference.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodProfile:
    """A period of a version: how many windows, from when to when, what was counted, and how far it is from training."""

    version: str
    span: Interval
    windows: int
    profile: Profile
    changes: Mapping[str, Measurement | None]


def period_profile(project: Path, span: Interval, version: str = "") -> PeriodProfile:
    """Add up the profiles of the windows in `span` that `version` served; the version of the last one without a name.

    No row is read: cost grows with the windows of the period.

    Raises
    ------
    NotFoundError
        Nothing was profiled in this period.
    IntegrityError
        A stored profile is spoilt, or the artifact is not what was signed.
    """
    state = state_folder(project)
    digests: dict[str, str] = {}
    served = ""
    for recorded in read_facts(record_place(state), kinds={"VersionPromoted", "WindowClosed"}):
        if isinstance(recorded.fact, VersionPromoted):
            digests[recorded.fact.version] = recorded.fact.digest
        elif isinstance(recorded.fact, WindowClosed) and span.start <= recorded.fact.window.start < span.end:
            served = recorded.fact.version
    version = version or served
    found = [
        (window, _unpacked(window, packed))
        for window, packed in ProfileFolder(state / "profiles").within(digests.get(version, "none"), span)
    ]
    if not found:
        raise NotFoundError(
            f"no window of {version or 'any version'} was profiled from {span.start.isoformat()} to "
            f"{span.end.isoformat()}"
        )
    whole = found[0][1]
    for _, profile in found[1:]:
        whole += profile
    reference = _reference(artifact_files(state, digests[version], _REFERENCE), version)
    changes = {name: measure(reference.own.columns[name], column) for name, column in whole.columns.items()}
    covered = Interval(start=found[0][0].start, end=found[-1][0].end)
    return PeriodProfile(version=version, span=covered, windows=len(found), profile=whole, changes=changes)


def _reference(stored: Mapping[str, bytes], version: str) -> Reference:
    if _REFERENCE not in stored:
        raise NotFoundError(f"{version} was stored without a reference to compare with")
    try:
        return Reference.from_bytes(stored[_REFERENCE])
    except InvariantError as exc:
        raise IntegrityError(f"the reference of {version} cannot be read ({exc})") from exc


def _unpacked(window: Interval, packed: bytes) -> Profile:
    try:
        return Profile.from_bytes(packed)
    except InvariantError as exc:
        raise IntegrityError(
            f"the stored profile of the window from {window.start.isoformat()} cannot be read ({exc}); restore it "
            "from a copy, or ask for a period without it"
        ) from exc
