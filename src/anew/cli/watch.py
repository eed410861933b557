"""Watch a project: where everything stands, and each decision as it is made."""

import sys
from collections import deque
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
from anew.cli._output import emit_json, minute, say
from anew.domain.fact import Fact

__all__ = ["run"]

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
    """Return the whole screen, cut to `height` lines; every word of the record goes in as text, never as markup."""
    status = look.status
    parts: list[RenderableType] = [_head(look), _standing(status)]
    if status["last_score"]:
        parts.append(_score(status["last_score"]))
    parts += [
        Text(f"under way   {each['effect']} {each['version']}: {each['said']}", "cyan") for each in status["runs"]
    ]
    room = max(3, height - 6 - len(status["workers"]) - len(status["runs"]) - (8 if status["last_score"] else 0))
    decisions = Table.grid(padding=(0, 2), expand=True)
    decisions.add_column(no_wrap=True, style="dim")
    decisions.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for fact in last[-room:]:
        decisions.add_row(f"{fact.at:%m-%d %H:%M}", Text(narrate(fact)))
    return Group(*parts, Text("decisions", style="bold"), decisions)


def _head(look: Look) -> RenderableType:
    status, now = look.status, datetime.now(UTC)
    line = Text(f"{status['model']}", style="bold")
    line.append(f"   {status['facts']:,} facts   ")
    line.append("loop running" if status["holder"] else "loop not running", "green" if status["holder"] else "bold red")
    line.append(f"   {now:%H:%M:%S} UTC   Ctrl-C ends", "dim")
    if look.problem:
        line.append(f"\n{look.problem}", "bold red")
    return line


def _standing(status: Any) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name in ("champion", "challenger"):
        found = status[name]
        reason = f": {found['reason']}" if found and found["reason"] else ""
        said = f"{found['version']} since {minute(found['since'])}{reason}" if found else "none"
        table.add_row(name, Text(said, overflow="ellipsis"))
    traffic = status["traffic"]
    if traffic:
        share = f", {traffic['share']:.0%} to {traffic['challenger']}" if traffic["share"] else ""
        said = f"{traffic['stage']}{share} (epoch {traffic['epoch']}, fallback {traffic['fallback'] or 'none'})"
        table.add_row("traffic", Text(said))
    for worker in status["workers"]:
        counts = worker["counts"] or {}
        said = f"port {worker['port']}, epoch {worker['epoch']}, {counts.get('predictions', 0):,} predictions"
        table.add_row(f"gateway {worker['worker']}", Text(f"{said} {worker['problem'] or ''}"))
    return table


def _score(score: Any) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=10)
    coverage = score["labels"]["coverage"]
    known = "no labels" if coverage is None else f"labels of {coverage:.0%}"
    table.add_row("window", Text(f"up to {minute(score['end'])}: {score['predictions']:,} predictions, {known}"))
    for name, found in list(score["metrics"].items())[:6]:
        said = found["problem"] or ""
        if found["value"] is not None:
            interval = f" ({found['low']:.4g} to {found['high']:.4g})" if found["low"] is not None else ""
            said = f"{found['value']:.4g}{interval} on {found['n']:,} {said}"
        table.add_row(Text(name), Text(said))
    return table
