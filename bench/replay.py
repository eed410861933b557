"""What monitoring costs a replay, and what anew itself costs for each window, on streams of labelled rows.

Run it as ``make bench-replay``; by itself it takes the bicycle rentals that the demo ships. Other streams are named as
``make bench-replay ARGS="--data elec2.parquet --time ts --target target"``. A project is made for each as `anew init`
does. It is then replayed with a retrain every so many windows, which nothing that is measured changes: bare, with what
the new project watches (an objective and PSI), and, to be known, with calibrated drift as well, for which every
training measures traits of the columns with answers of the model. All seconds are of CPU, of the replay
alone, the least of several runs in turn: machines are noisy. Exit 0 only if every target is met.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import polars as pl
import yaml
from measured import run, tell

__all__ = ["main"]

BIKES = Path(__file__).parents[1] / "src" / "anew" / "app" / "demo_project" / "bike_demand.parquet"
GAIN, OWN_MS = 0.10, 20.0
RETRAINS = 10
NEVER = "1000000 windows"
WAYS = ("bare", "as made by init", "and drift")


def made(folder: Path, stream: Path, columns: tuple[str, str]) -> Path:
    """Make a project as `anew init` does."""
    from anew.adapters.schema_inference import Roles
    from anew.app.project_template import create_from_file

    target = pl.read_parquet(stream, columns=[columns[1]]).to_series()
    classifies = not target.dtype.is_float() and target.n_unique() <= 20
    roles = Roles(time=columns[0], target=columns[1], task="classification" if classifies else "regression")
    return create_from_file(folder, stream, roles, name="stream").folder


def scheduled(project: Path, way: str) -> None:
    """Let it retrain by the clock alone, whatever is found."""
    file = project / "anew.yaml"
    policy = yaml.safe_load(file.read_text())
    policy["slos"] = [{**each, "for": NEVER} for each in policy["slos"]]
    watched = [{**each, "for": NEVER} for each in policy["triggers"]] + (
        [{"drift": {}, "for": NEVER}] if way == WAYS[2] else []
    )
    window = _seconds(policy["monitor"]["window"])
    policy["triggers"] = [*watched, {"every": f"{window * RETRAINS}s"}]
    file.write_text(yaml.safe_dump(policy, sort_keys=False))


def _seconds(duration: str) -> int:
    from anew.app.duration import parse_duration

    return int(parse_duration(duration).total_seconds())


def one(stream: Path, columns: tuple[str, str], way: str) -> dict:
    """Replay once in this process; seconds of CPU, and what was done."""
    from anew.app import replay as module
    from anew.app.settings import load
    from anew.loop import replay as loop
    from anew.loop import replay_stream

    with tempfile.TemporaryDirectory() as scratch:
        project = made(Path(scratch), stream, columns)
        if way != "own":
            scheduled(project, way)
        watched_by = module.watched_by

        def unwatched(*given: object, **named: object) -> object:
            found = watched_by(*given, **named)
            found.detectors.clear()
            return found

        with (
            patch.object(module, "watched_by", unwatched if way == WAYS[0] else watched_by),
            patch.object(replay_stream, "perf_counter", time.process_time),
            patch.object(loop, "perf_counter", time.process_time),
        ):
            settings, began = load(project), time.process_time()
            data = module.replay(settings, module.ReplayOptions(data=stream)).data
            spent = time.process_time() - began
    return {
        "cpu_s": spent,
        "fits": data["fits"],
        "promotions": data["promotions"],
        "windows": len(data["windows"]),
        "own_ms": data["timings"]["anew_ms_per_window"],
    }


def measure(stream: Path, columns: tuple[str, str], times: int) -> dict[str, dict]:
    """Replay in every way, in turn, each in a process of its own; the run of least CPU counts."""
    asked: dict[str, Callable[[], dict]] = {way: partial(_child, stream, columns, way) for way in (*WAYS, "own")}
    runs: dict[str, list[dict]] = {way: [] for way in asked}
    for _ in range(times):
        for way, ask in asked.items():
            runs[way].append(ask())
    return {
        way: min(each, key=lambda found: found["own_ms" if way == "own" else "cpu_s"]) for way, each in runs.items()
    }


def _child(stream: Path, columns: tuple[str, str], way: str) -> dict:
    tell(f"replaying {stream.stem}: {way}")
    return run(
        [sys.executable, __file__, "--data", stream, "--time", columns[0], "--target", columns[1], "--way", way]
    ).answer


def show(stream: Path, found: dict[str, dict]) -> bool:
    """Print a stream's figures; return whether its targets are met."""
    bare = found[WAYS[0]]
    print(f"\n{stream.stem}: {bare['windows']} windows, {bare['fits']} fits")
    for way in WAYS:
        each = found[way]
        gain = each["cpu_s"] / bare["cpu_s"] - 1
        print(f"  {way:20}{each['cpu_s']:>8.2f} CPU s{gain:>+9.1%}   {each['own_ms']:>6.1f} ms of anew a window")
    alike = all((found[way]["fits"], found[way]["promotions"]) == (bare["fits"], bare["promotions"]) for way in WAYS)
    gain = found[WAYS[1]]["cpu_s"] / bare["cpu_s"] - 1
    own = found["own"]["own_ms"]
    targets = [
        ("all three did the same", str(alike).lower(), alike),
        (f"gained by monitoring, {WAYS[1]}, less than {GAIN:.0%}", f"{gain:+.1%}", gain < GAIN),
        (f"anew's own CPU ms a window, under the policy of init, at most {OWN_MS:g}", f"{own:.1f}", own <= OWN_MS),
    ]
    for asked, told, met in targets:
        print(f"{'met   ' if met else 'MISSED'}  {asked}: {told}")
    return all(met for _, _, met in targets)


def main() -> None:
    """Measure, print, exit."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, nargs="*", default=[], help="Parquet files of labelled rows")
    asked.add_argument("--time", default="ts", help="their event-time column")
    asked.add_argument("--target", default="target", help="their label column")
    asked.add_argument("--times", type=int, default=3, help="runs of each way, of which the quickest counts")
    asked.add_argument("--way", help=argparse.SUPPRESS)
    given = asked.parse_args()
    columns = (given.time, given.target)
    if given.way:
        print(json.dumps(one(given.data[0], columns, given.way)))
        return
    streams = [(each, columns) for each in given.data] or [(BIKES, ("ts", "target"))]
    met = [show(stream, measure(stream, named, given.times)) for stream, named in streams]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
