"""Run a project's own policy over a historical file, in virtual time, and compare with never retraining."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.cli._output import emit_json, say
from anew.cli._progress import Counted
from anew.loop.replay_trouble import said_of

__all__ = ["run"]


def run(
    project: Annotated[Path, typer.Argument(help="the project's folder")],
    data: Annotated[Path, typer.Option(help="Parquet or CSV file of labelled rows")],
    label_delay: Annotated[
        str, typer.Option(help="windows, or a duration, until labels are mature [default: the policy's]")
    ] = "",
    label_time: Annotated[
        str, typer.Option(help="column that says when each label came [default: each is there once it is mature]")
    ] = "",
    windows: Annotated[int | None, typer.Option(help="cut into so many windows of equal size")] = None,
    json: Annotated[bool, typer.Option("--json", help="print anew.replay/1")] = False,
) -> None:
    """Replay a file through the project's loop."""
    gc.freeze()  # what is imported by now stays: no collection has to walk it again
    options = ReplayOptions(data=data, label_delay=label_delay, label_time=label_time, windows=windows)
    report = replay(load(project), options, told=Counted(what="windows replayed")).data
    if json:
        emit_json("anew.replay/1", report)
        return
    timings = report["timings"]
    gain = 1 - report["loss"] / report["loss_never_retrained"] if report["loss_never_retrained"] else 0.0
    say(f"{report['rows']} rows in {len(report['windows'])} windows")
    say(f"loss                 {report['loss']:.4f}  (prequential, of the model that was live)")
    say(f"loss never retrained {report['loss_never_retrained']:.4f}  (the first champion on the same rows)")
    say(f"gain                 {gain:+.1%}")
    counts = ("fits", "promotions", "rejections", "rollbacks", "incidents")
    say(", ".join(f"{each} {report[each]}" for each in counts))
    for each in report["troubles"]:
        say(said_of(each))
    if label_time:
        say(f"labels that came {report['labelled']} of {report['rows']}; windows scored again {report['revisions']}")
    say(f"time {timings['total_s']:.1f} s, of which anew itself {timings['anew_ms_per_window']:.1f} ms per window")
