"""What `anew data profile` prints."""

from argparse import Namespace
from datetime import UTC, datetime

from anew.app.window_profile import PeriodProfile, period_profile
from anew.cli._output import emit_json, say
from anew.domain.errors import SettingsError
from anew.domain.interval import Interval

__all__ = ["run"]


def run(given: Namespace) -> None:
    """Add up the windows of the period and print them."""
    since, until = (_instant(text) for text in (given.since, given.until))
    if until <= since:
        raise SettingsError(f"the period from {given.since} to {given.until} is empty; --until comes after --since")
    found = period_profile(given.project, Interval(start=since, end=until), given.version)
    if given.json:
        emit_json("anew.data.profile/1", _plain(found))
        return
    say(
        f"{found.version}: {found.profile.n:,} rows in {found.windows} window{'' if found.windows == 1 else 's'}, "
        f"{found.span.start:%Y-%m-%d %H:%M} to "
        f"{found.span.end:%Y-%m-%d %H:%M}"
    )
    for name, column in found.profile.columns.items():
        change = found.changes[name]
        mean = "" if column.mean is None else f"mean {column.mean:.6g}"
        psi = "" if change is None else f"PSI {change.psi:.4f}"
        say(f"  {name:<24} {column.nulls / max(column.n, 1):>8.2%} null  {psi:<12}  {mean}".rstrip())


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingsError(f"{text!r} is no instant; write it as 2026-03-01 or 2026-03-01T12:00+01:00") from exc
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _plain(found: PeriodProfile) -> dict[str, object]:
    return {
        "version": found.version,
        "start": found.span.start.isoformat(),
        "end": found.span.end.isoformat(),
        "windows": found.windows,
        "rows": found.profile.n,
        "columns": {
            name: {
                "kind": column.kind,
                "nulls": column.nulls,
                "mean": column.mean,
                "psi": None if (change := found.changes[name]) is None else change.psi,
                "p_value": None if change is None else change.p_value,
            }
            for name, column in found.profile.columns.items()
        },
    }
