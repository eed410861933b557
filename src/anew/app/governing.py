"""Settings into the stage that consents: whom it asks, and when it lets nothing through."""

import re
from datetime import UTC, datetime, time, tzinfo
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anew.app.component import collect
from anew.app.duration import parse_duration
from anew.app.settings import Settings
from anew.domain.errors import SettingsError
from anew.governance import Governance
from anew.governance.approvals import Approvals
from anew.governance.freeze import Freeze, Once, instants

__all__ = ["governed_by", "parse_freeze"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ZONE = r"(?:\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]*))?"
_WEEKLY = re.compile(
    rf"\s*(?P<from>[A-Za-z]{{3}})\s+(?P<at>\d\d:\d\d)\s*-\s*(?P<to>[A-Za-z]{{3}})\s+(?P<until>\d\d:\d\d){_ZONE}\s*"
)
_DATED = re.compile(rf"\s*(?P<from>\d{{4}}-\d\d-\d\d \d\d:\d\d)\s*-\s*(?P<to>\d{{4}}-\d\d-\d\d \d\d:\d\d){_ZONE}\s*")


def governed_by(settings: Settings, *, asks: bool = True, shares: bool = False) -> Governance:
    """Return the stage; without `asks` nobody has to approve anything, as in a replay, where there is nobody to ask.

    With `shares`, requests to retrain wait for their turn at compute that models share.

    Raises
    ------
    SettingsError
        A freeze or an expiry cannot be read, or more have to sign than may; each with its place in the file.
    """
    policy, problems = settings.policy.governance, list[str]()
    freezes = [
        collect(
            problems,
            f"{settings.document.where(('governance', 'freeze', i))}: governance.freeze",
            partial(parse_freeze, text),
        )
        for i, text in enumerate(policy.freeze)
    ]
    approvals = collect(
        problems, f"{settings.document.where(('governance',))}: governance", partial(_approvals, settings)
    )
    if problems or approvals is None:
        raise SettingsError(*problems)
    return Governance(
        approvals=approvals if asks else Approvals(),
        freezes=tuple(each for each in freezes if each is not None),
        holds_retrains="retrains" in policy.freeze_holds,
        sensitive=bool(settings.columns.sensitive),
        shares=shares,
    )


def parse_freeze(text: str) -> Freeze | Once:
    """Read a freeze: ``Fri 16:00 - Mon 08:00 Europe/Berlin``, or ``2026-12-20 00:00 - 2027-01-04 08:00``; else UTC.

    Raises
    ------
    SettingsError
        It is none.
    """
    weekly, dated = _WEEKLY.fullmatch(text), _DATED.fullmatch(text)
    found = weekly or dated
    if found is None:
        raise SettingsError(
            f"{text!r} is no freeze; write e.g. Fri 16:00 - Mon 08:00 Europe/Berlin, or "
            "2026-12-20 00:00 - 2027-01-04 08:00 Europe/Berlin"
        )
    zone = _zone(found["zone"] or "UTC")
    try:
        if weekly is None:
            start, end = (datetime.fromisoformat(found[each]) for each in ("from", "to"))
            return Once(name=text, start=min(instants(start, zone)), end=max(instants(end, zone)))
        return Freeze(
            name=text,
            start_day=_day(weekly["from"]),
            start=time.fromisoformat(weekly["at"]),
            end_day=_day(weekly["to"]),
            end=time.fromisoformat(weekly["until"]),
            zone=zone,
        )
    except ValueError as exc:
        raise SettingsError(f"{text!r}: {exc}") from exc


def _approvals(settings: Settings) -> Approvals:
    policy = settings.policy.governance
    return Approvals(
        **dict(policy.approvals),
        expires=parse_duration(policy.expires),
        four_eyes=policy.four_eyes == "required",
        approvers=policy.approvers,
    )


def _day(name: str) -> int:
    try:
        return _DAYS.index(name.lower())
    except ValueError:
        raise SettingsError(f"{name!r} is no day; write one of {', '.join(each.title() for each in _DAYS)}") from None


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise SettingsError(f"{name!r} is no time zone; write one of the tz database, e.g. Europe/Berlin") from exc
