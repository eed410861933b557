"""Lets a version go that was taken back: only then may its bytes be served again."""

from anew.app.command import Answered, command
from anew.app.settings import Settings
from anew.app.status import project_status
from anew.domain.errors import ConflictError, NotFoundError
from anew.domain.facts import QuarantineReleased
from anew.registry import Standing

__all__ = ["refuse_release", "release"]


def refuse_release(settings: Settings, version: str) -> None:
    """Raise where there is nothing to release.

    Raises
    ------
    NotFoundError
        There is no such version.
    ConflictError
        It is not quarantined.
    """
    status = project_status(settings.root)
    standing = next((each["standing"] for each in status["versions"] if each["version"] == version), None)
    if standing == Standing.QUARANTINED:
        return
    known = f"quarantined: {', '.join(status['quarantined']) or 'none'}"
    if standing is None:
        raise NotFoundError(f"there is no version {version!r}; {known}")
    raise ConflictError(f"{version} is {standing}, not quarantined; {known}")


def release(settings: Settings, version: str, reason: str) -> Answered:
    """Put on record that a person released a version, by the loop or, when none runs, as soon as one does.

    It serves no more for that: a candidate of the same bytes may go into a rollout again, where it was refused before.
    Of a version that is not quarantined it changes nothing; see `refuse_release`. Raises what `command` raises.
    """
    return command(
        settings,
        lambda id, by, at: QuarantineReleased(
            model=settings.model, at=at, command=id, version=version, by=by, reason=reason
        ),
    )
