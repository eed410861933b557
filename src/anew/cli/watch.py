"""Watch a project: where everything stands, and each decision as it is made."""

import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from anew.app.looks import Look, looks
from anew.app.narration import narrate
from anew.app.status import challengers, told_hold, told_run, told_traffic
from anew.cli._output import emit_json, minute, say, written_out
from anew.cli.status import told_waiting
from anew.domain.fact import Fact

__all__ = ["run"]

_LEAST_DECISIONS = 3
_QUIET = frozenset({"Ticked", "RolloutObserved", "TrafficApplied", "CandidateMeasured", "WindowClosed"})


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder")] = Path(),
    every: Annotated[float, typer.Option(min=0.1, help="seconds between two looks")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="look once and end")] = False,
    json: Annotated[bool, typer.Option("--json", help="print anew.watch/1 whenever there is news")] = False,
) -> None:
    """Show it until Ctrl-C; where nobody sits at a terminal, print each decision as a line."""
    console = Console(highlight=False)
    try:
        if json or once or not console.is_terminal:
            _lines(project, every, once=once, json=json)
        else:
            _live(console, project, every)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        sys.stderr.close()  # who read it has gone: nobody is to be told of it


def _lines(project: Path, every: float, *, once: bool, json: bool) -> None:
    for look in looks(project, every):
        if json:
            if look.facts or once:
                emit_json("anew.watch/1", {"status": look.status, "facts": [_plain(fact) for fact in look.facts]})
        else:
            for fact in _told(look):
                say(f"{fact.at:%Y-%m-%d %H:%M}  {narrate(fact)}")
        sys.stdout.flush()
        if once:
            return


def _live(console: Console, project: Path, every: float) -> None:
    """Draw on the terminal's other screen, which leaves what was on this one as it was."""
    last: deque[Fact] = deque(maxlen=200)
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live:
        for look in looks(project, every):
            last.extend(_told(look))
            live.update(_screen(look, list(last), console.height), refresh=True)


def _told(look: Look) -> list[Fact]:
    return [fact for fact in look.facts if fact.kind not in _QUIET]


def _plain(fact: Fact) -> dict[str, str]:
    return {"id": fact.id, "kind": fact.kind, "at": fact.at.isoformat(), "said": narrate(fact)}


def _screen(look: Look, last: list[Fact], height: int) -> RenderableType:
    """Return the whole screen, no line wrapped; every word of the record goes in as text, never as markup.

    What is left of `height` lines goes to the newest decisions, which a small screen is not to cut off.
    """
    status = look.status
    head, standing = _head(look), _standing(status, most_workers=max(1, height // 8))
    used = len(head) + standing.row_count + len(status["runs"])
    parts: list[RenderableType] = [*head, standing]
    room = height - used - _LEAST_DECISIONS - 2
    if status["last_score"] and room > 0:
        score = _score(status["last_score"], most=min(6, room))
        used += score.row_count
        parts.append(score)
    parts += [_line(f"under way   {told_run(each)}", "cyan") for each in status["runs"]]
    decisions = Table.grid(padding=(0, 2), expand=True)
    decisions.add_column(no_wrap=True, style="dim")
    decisions.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for fact in last[-max(_LEAST_DECISIONS, height - used - 1) :]:
        decisions.add_row(f"{fact.at:%m-%d %H:%M}", Text(written_out(narrate(fact))))
    return Group(*parts, Text("decisions", style="bold"), decisions)


def _line(text: str, style: str = "") -> Text:
    return Text(written_out(text), style, no_wrap=True, overflow="ellipsis")


def _named(rows: Iterable[tuple[str, str]]) -> Table:
    """Return rows of a name and what is said of it, each one line."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, min_width=10)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for name, said in rows:
        table.add_row(Text(written_out(name)), Text(written_out(said)))
    return table


def _head(look: Look) -> list[Text]:
    status, now = look.status, datetime.now(UTC)
    line = _line(f"{status['model']}", "bold")
    line.append(f"   {status['facts']:,} facts   ")
    loop = "running" if status["holder"] else "without its lease" if status["without_lease"] else "not running"
    line.append(f"loop {loop}", "green" if status["holder"] else "bold red")
    line.append(f"   {now:%H:%M:%S} UTC   Ctrl-C ends", "dim")
    return [line, _line(look.problem, "bold red")] if look.problem else [line]


def _standing(status: Any, *, most_workers: int) -> Table:
    arms: Sequence[Mapping[str, Any] | None] = challengers(status) or (None,)
    served = [("champion", status["champion"]), *(("challenger", each) for each in arms)]
    rows = []
    for name, found in served:
        reason = f": {found['reason']}" if found and found["reason"] else ""
        rows.append((name, f"{found['version']} since {minute(found['since'])}{reason}" if found else "none"))
    if status["ordered"]:
        rows.append(("ordered", f"{status['ordered']['said']}; not on record yet"))
    if status["traffic"]:
        rows.append(("traffic", told_traffic(status["traffic"])))
    if held := told_hold(status["rollout"]):
        rows.append(("rollout", held))
    if waits := told_waiting(status):
        rows.append(("waiting", waits))
    workers = sorted(status["workers"], key=lambda worker: not worker["problem"])
    for worker in workers[:most_workers]:
        counts = worker["counts"] or {}
        said = f"port {worker['port']}, epoch {worker['epoch']}, {counts.get('predictions', 0):,} predictions"
        rows.append((f"gateway {worker['worker']}", f"{said} {worker['problem'] or ''}"))
    if workers[most_workers:]:
        rows.append(("gateways", f"{len(workers) - most_workers} more"))
    return _named(rows)


def _score(score: Any, *, most: int) -> Table:
    coverage = score["labels"]["coverage"]
    known = "no labels" if coverage is None else f"labels of {coverage:.0%}"
    whose = "" if score["of_champion"] else f" by {score['version']}, before what serves now"
    rows = [("window", f"up to {minute(score['end'])}{whose}: {score['predictions']:,} predictions, {known}")]
    for name, found in list(score["metrics"].items())[:most]:
        said = found["problem"] or ""
        if found["value"] is not None:
            interval = f" ({found['low']:.4g} to {found['high']:.4g})" if found["low"] is not None else ""
            said = f"{found['value']:.4g}{interval} on {found['n']:,} labels {said}"
        rows.append((name, said))
    return _named(rows)
