"""Watch a model go stale and come back: the whole loop on real data, with real processes and HTTP traffic."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from anew.app.demo import Demo, DemoReport, Teller
from anew.app.narration import narrate
from anew.cli._output import emit_json
from anew.domain.fact import Fact

__all__ = ["run"]

_TOLD = frozenset(
    {
        "RetrainRequested", "TrainingPlanned", "SnapshotTaken", "CandidateTrained", "GateJudged", "CandidateRefused",
        "TrafficShifted", "VersionPromoted", "GuardrailTripped", "RolledBack", "EffectFailed", "RolloutHeld",
    }
)  # fmt: skip
"""Facts that are always told; others only when they complete a part of the story."""


def run(
    folder: Annotated[Path, typer.Option(help="where the project is made and left behind")] = Path("anew-demo"),
    store: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="a line of `stores` in the policy, as in lake=s3://BUCKET/PREFIX"),
    ] = None,
    limit: Annotated[float, typer.Option(min=1, help="seconds after which it gives up")] = 400.0,
    json: Annotated[bool, typer.Option("--json", help="print anew.demo/1 at the end, and nothing before")] = False,
) -> None:
    """Run the story; exit 0 only if every part of it happened."""
    stores = _stores(store or [])
    console = Console(stderr=json, highlight=False, soft_wrap=True)
    live = console.is_terminal and not json
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[day]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not live) as progress:
        task = progress.add_task("event time", total=1, day="")

        def fact_told(fact: Fact, chapters: list[str]) -> None:
            if chapters or fact.kind in _TOLD:
                mark = f"[bold green]✓ {', '.join(chapters)}[/]  " if chapters else ""
                progress.console.print(f"[dim]{fact.at:%Y-%m-%d}[/]  {mark}{_escaped(narrate(fact))}")

        teller = Teller(
            fact=fact_told if not json else lambda *_: None,
            remark=(lambda text: progress.console.print(f"[bold yellow]{_escaped(text)}[/]"))
            if not json
            else lambda _: None,
            progress=lambda done, total, day: progress.update(task, completed=done, total=total, day=day),
        )
        report = Demo(folder, teller, stores=stores, limit_s=limit).run()
    if json:
        emit_json("anew.demo/1", _plain(report))
    else:
        _show(console, report, folder, explore=not stores)  # whoever brought stores may have ended them
    sys.exit(0 if report.whole else 1)


def _stores(lines: Sequence[str]) -> dict[str, str]:
    found = dict(line.partition("=")[::2] for line in lines)
    if not all(name and place for name, place in found.items()):
        raise typer.BadParameter(f"{', '.join(lines)}: write NAME=PLACE", param_hint="--store")
    return found


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


def _plain(report: DemoReport) -> dict[str, object]:
    return {name: getattr(report, name) for name in report.__slots__} | {"whole": report.whole}


def _show(console: Console, report: DemoReport, folder: Path, *, explore: bool) -> None:
    table = Table(title=f"{report.rows} hours of demand", show_header=False, title_justify="left")
    table.add_column(justify="left")
    table.add_column(justify="right")
    better = 1 - report.error / report.error_never_retrained
    rows = (
        ("mean absolute error of the loop", f"{report.error:.1f} rentals"),
        ("… of the first model, never retrained", f"{report.error_never_retrained:.1f} rentals"),
        ("better by", f"{better:.0%}"),
        ("retrains asked for", str(report.retrains)),
        ("promotions, the first champion's included", str(report.promotions)),
        ("candidates refused by a gate", str(report.refusals)),
        ("rollbacks", str(report.rollbacks)),
        ("seconds of compute for training", f"{report.compute_s:.1f}"),
        ("requests that failed", str(len(report.failures))),
        *(
            (f"{table} acknowledged = stored", f"{n} = {report.stored[table]}")
            for table, n in report.acknowledged.items()
        ),
        ("seconds in all", f"{report.seconds:.0f}"),
    )
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for failure in report.failures[:5]:
        console.print(f"[bold red]failed:[/] {_escaped(failure)}")
    if report.missing:
        console.print(f"[bold red]did not happen:[/] {', '.join(report.missing)}")
    if explore:
        console.print(f"explore it:  {sys.argv[0]} status {folder}    {sys.argv[0]} explain v2 --project {folder}")
