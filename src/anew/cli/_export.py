"""Runs `anew data export`."""

from argparse import Namespace
from datetime import UTC, datetime

from anew.app.accepted import accepted
from anew.app.export import export_rows
from anew.cli._output import emit_json, say
from anew.domain.errors import SettingsError
from anew.domain.interval import Interval

__all__ = ["run"]


def run(given: Namespace) -> None:
    """Write the file, and say what is in it."""
    since, until = (_instant(text) for text in (given.since, given.until))
    if until <= since:
        raise SettingsError(f"the period from {given.since} to {given.until} is empty; --until comes after --since")
    settings = accepted(given.project)
    done = export_rows(settings, Interval(start=since, end=until), given.to, personal=given.personal)
    if given.json:
        plain = {"rows": done.rows, "labelled": done.labelled, "columns": list(done.columns)}
        emit_json("anew.data.export/1", {**plain, "pseudonyms": list(done.pseudonyms), "file": str(given.to)})
        return
    say(f"{done.rows:,} answers, {done.labelled:,} of them labelled, into {given.to}")
    if done.pseudonyms:
        say(f"as pseudonyms: {', '.join(done.pseudonyms)}")
    elif settings.policy.columns.personal:
        say(f"with personal values: {', '.join(settings.policy.columns.personal)}")


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingsError(f"{text!r} is no instant; write it as 2026-03-01 or 2026-03-01T12:00+01:00") from exc
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
