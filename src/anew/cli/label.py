"""Look at answers that people are asked about, one after the other: `anew label next`, then `answer` or `skip`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted
from anew.app.access import account_holder, token_holder
from anew.app.label_file import LabelColumns, send_labels
from anew.app.log_file import LogTaker, model_address
from anew.app.review import label_value, open_review, review_lease
from anew.app.secret import read_secret
from anew.app.settings import Settings
from anew.cli._output import emit_json, minute, say
from anew.domain.access import Permission
from anew.ports.review import Question

__all__ = ["COMMANDS"]

Project = Annotated[Path, typer.Option(help="the project's folder")]
Token = Annotated[
    str, typer.Option(help="where your token is, env:NAME or file:PATH; without, the user who runs this answers")
]
Item = Annotated[str, typer.Argument(help="id of the item, as `anew label next` shows it")]


def _next(
    project: Project = Path(),
    token: Token = "",
    json: Annotated[bool, typer.Option("--json", help="print anew.label.next/1")] = False,
) -> None:
    """Get an item to look at. It is yours for a while; nobody else gets it meanwhile."""
    settings = accepted(project)
    lease, gold = review_lease(settings)
    with open_review(settings) as store:
        found = store.lease(_who(settings, token), SystemClock().now(), lease, gold=gold)
    if json:
        emit_json("anew.label.next/1", {"item": None if found is None else _plain(found, settings)})
    elif found is None:
        say("there is nothing to look at now")
    else:
        _show(found, settings)


def _answer(
    item: Item,
    value: Annotated[str, typer.Argument(help="what is true: a class, or a number")],
    project: Project = Path(),
    token: Token = "",
    json: Annotated[bool, typer.Option("--json", help="print anew.label.answer/1")] = False,
) -> None:
    """Say what is true of an item that is yours."""
    settings = accepted(project)
    said = label_value(value, settings)
    with open_review(settings) as store:
        store.answer(item, _who(settings, token), said, SystemClock().now())
    if json:
        emit_json("anew.label.answer/1", {"item": item, "value": said})
        return
    say("taken; a running loop makes it a label when enough people have said so")


def _skip(
    item: Item,
    project: Project = Path(),
    token: Token = "",
    json: Annotated[bool, typer.Option("--json", help="print anew.label.skip/1")] = False,
) -> None:
    """Give an item back to others; you do not get it again."""
    settings = accepted(project)
    with open_review(settings) as store:
        store.skip(item, _who(settings, token), SystemClock().now())
    if json:
        emit_json("anew.label.skip/1", {"item": item})
        return
    say("given back")


def _status(
    project: Project = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.label.status/1")] = False,
) -> None:
    """Show how much there is to look at, and what each labeller did."""
    settings = accepted(project)
    with open_review(settings) as store:
        found = store.status(SystemClock().now())
    if json:
        emit_json("anew.label.status/1", found)
        return
    oldest = f", the oldest of {minute(found['oldest'])}" if found["oldest"] else ""
    say(f"open        {found['open']}{oldest} ({found['leased']} being looked at)")
    say(f"settled     {found['settled']}")
    for reason, counts in sorted(found["reasons"].items()):
        say(f"  {reason:<14}{counts['items']:>6} asked, {counts['settled']} settled")
    for name, did in found["labellers"].items():
        say(f"  {name:<14}{did['answered']:>6} answered, {did['skipped']} skipped, {did['gold']} with a known answer")


def _send(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file, or the folder of a Delta table")],
    project: Project = Path(),
    prediction: Annotated[str, typer.Option(help="column with the ids of predictions")] = "prediction",
    value: Annotated[str, typer.Option(help="column with what is true")] = "value",
    source: Annotated[str, typer.Option(help="who says it, where the rows have no column `source`")] = "",
    url: Annotated[
        str,
        typer.Option(help="the gateway, as http://HOST:PORT/models/NAME where it serves several; else this machine's"),
    ] = "",
    token: Annotated[str, typer.Option(help="where your token is, env:NAME or file:PATH, if the gateway asks")] = "",
    json: Annotated[bool, typer.Option("--json", help="print anew.label.send/1")] = False,
) -> None:
    """Send labels in a file or table to the gateway; a row that is sent again changes nothing.

    Columns `at`, `source`, `revision`, `withdraw` and `id` are read where they are there.
    """
    settings = accepted(project)
    taker = LogTaker(
        url or model_address(settings),
        read_secret(token, Path.cwd()) if token else "",
    )
    sent = send_labels(file, LabelColumns(prediction=prediction, value=value), source, taker, settings.columns)
    if json:
        emit_json("anew.label.send/1", {"labels": sent.labels, "withdrawn": sent.withdrawn, "empty": sent.empty})
        return
    say(f"{sent.labels:,} labels taken, {sent.withdrawn:,} of them take one back; {sent.empty:,} rows say nothing")


def _who(settings: Settings, token: str) -> str:
    if token:
        return token_holder(settings, token, Permission.REVIEW)
    return account_holder(settings, Permission.REVIEW)


def _plain(found: Question, settings: Settings) -> Mapping[str, Any]:
    return {
        "id": found.id,
        "at": found.at.isoformat(),
        "row": found.row,
        "until": found.until.isoformat(),
        "target": settings.columns.target,
        "classes": list(settings.columns.classes),
    }


def _show(found: Question, settings: Settings) -> None:
    width = max(map(len, found.row), default=0)
    say(f"item  {found.id}   of {found.at:%Y-%m-%d %H:%M}, yours until {found.until:%H:%M} UTC")
    for name, value in found.row.items():
        say(f"  {name:<{width}}  {value}")
    classes = settings.columns.classes
    choice = f"one of {', '.join(map(str, classes))}" if classes else "a number"
    say(f"{settings.columns.target} is {choice}: anew label answer {found.id} VALUE, or anew label skip {found.id}")


COMMANDS = {"next": _next, "answer": _answer, "skip": _skip, "status": _status, "send": _send}
"""The commands of `anew label` by name."""
