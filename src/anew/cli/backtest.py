"""Replay policies over a historical file, and compare them with what hindsight could have done."""

import re
from pathlib import Path
from typing import Annotated

import typer

from anew.app.backtest import BacktestOptions, backtest
from anew.app.backtest_report import keep_report
from anew.app.backtest_rollout import through_rollout
from anew.app.backtest_table import table
from anew.app.settings import load
from anew.cli._output import emit_json, say
from anew.cli._progress import Counted
from anew.dashboard.backtest_svg import backtest_svg
from anew.loop.backtest_report import described

__all__ = ["run"]


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder")],
    data: Annotated[Path, typer.Option(help="Parquet or CSV file of labelled rows")],
    policies: Annotated[str, typer.Option(help="names with commas between [default: all]")] = "",
    label_delay: Annotated[int, typer.Option(help="windows until labels are mature")] = 0,
    windows: Annotated[int, typer.Option(help="cut into so many windows of equal size")] = 100,
    chart: Annotated[Path | None, typer.Option(help="write an SVG of cost against loss to this file")] = None,
    processes: Annotated[int, typer.Option(help="processes that train [default: one for each core, two at most]")] = 0,
    with_rollout: Annotated[
        bool, typer.Option("--with-rollout", help="replay the best policy through gates and rollout too")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print anew.backtest/1")] = False,
) -> None:
    """Backtest policies on a file."""
    settings = load(project)
    asked = tuple(each.strip() for each in re.split(r",(?![^(]*\))", policies) if each.strip())
    options = BacktestOptions(data=data, policies=asked, label_delay=label_delay, windows=windows, processes=processes)
    found = backtest(settings, options, Counted(what="models trained and scored"))
    report = described(found.board, found.hindsight, found.runs)
    if with_rollout:
        report["with_rollout"] = through_rollout(settings, options, found).plain
    keep_report(settings.state, report)
    if chart is not None:
        chart.write_text(backtest_svg(report), "utf-8")
    if json:
        emit_json("anew.backtest/1", report)
        return
    for line in table(found, report):
        say(line)
