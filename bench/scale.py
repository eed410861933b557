"""What a hundred million predictions cost, and where more machines help: ``make bench-scale ARGS="--rows 100000000"``.

Three parts, each by the functions that the loop itself runs.

1. Rows of three features, an hour of event time each quarter of a million, go through window clock, profile, join with
   labels (one in ten twice, one in fifty for nobody) and losses. They are generated in between, which is not counted.
   Memory has to be flat: the second half may hold no more than a tenth above the first.
2. A part of them goes the whole way: two journals on disk, drained into the lake, read back by windows. They are
   drained into other lakes as well, by the loop alone and with two drainers that prepare for it, by the clock.
3. A history in Parquet files is profiled by one worker and by two, each a process of one thread; with what merging a
   piece costs the one that asks, that says how many workers it could keep busy.

Seconds are of CPU, but for the comparisons of workers and of drainers, which are of the clock and mean something on an
idle machine alone; the load at the beginning is printed. Exit 0 only if memory was flat and two workers were 1.7 times
as fast.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.drainer_processes import DrainerProcesses
from anew.adapters.local_workers import LocalWorkers
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.segment_reader import SegmentReader
from anew.app.profile_over import profile_windows, whole_files
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.interval import Interval
from anew.domain.observation import Answer, Label, Prediction, id_prefix
from anew.feedback.join import coverage, join, losses
from anew.feedback.window import WindowClock, WindowState
from anew.loop.columns import profile_columns
from anew.loop.drain import Drainer
from anew.loop.shared_drain import SharedDrainer
from anew.stats.profile import Profile, Reference

__all__ = ["main"]

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_US = HOUR // timedelta(microseconds=1)
IN_WINDOW = 250_000
FLAT = 1.1
SPEED_UP = 1.7
COLUMNS = Columns(
    time="at",
    target="y",
    features=(
        Column(name="amount", kind=ColumnKind.NUMBER),
        Column(name="age", kind=ColumnKind.NUMBER),
        Column(name="country", kind=ColumnKind.CATEGORY),
    ),
    task=Task.BINARY,
    classes=(0, 1),
)


def features(rng: np.random.Generator, rows: int) -> dict[str, pl.Series]:
    """Make the columns of some rows."""
    return {
        "amount": pl.Series(rng.lognormal(3.0, 1.0, rows)),
        "age": pl.Series(rng.normal(40.0, 12.0, rows)),
        "country": pl.Series(np.array(["de", "fr", "it", "es", "pl", "nl"])[rng.integers(0, 6, rows)]),
    }


def window(rng: np.random.Generator, number: int, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make an hour of predictions and what came back for them."""
    start = BEGIN + number * HOUR
    at = pl.Series(np.sort(rng.integers(0, HOUR_US, rows))) + int(start.timestamp() * 1e6)
    ids = pl.Series("_id", np.arange(rows) + number * rows).cast(pl.String).str.zfill(32)
    truth = pl.Series(rng.integers(0, 2, rows))
    instant = at.cast(pl.Datetime("us", "UTC"))
    predictions = pl.DataFrame(
        {
            "_id": ids,
            "_at": instant,
            "_received_at": instant,
            "_output": pl.Series(np.where(rng.random(rows) < 0.9, truth, 1 - truth)),
            **features(rng, rows),
        }
    )
    again = pl.DataFrame({"_prediction": ids, "_value": truth, "_at": instant}).sample(fraction=0.1, seed=number)
    strange = pl.DataFrame({"_prediction": "x" + ids, "_value": truth, "_at": instant}).sample(fraction=0.02, seed=1)
    said = pl.concat([pl.DataFrame({"_prediction": ids, "_value": truth, "_at": instant}), again, strange])
    labels = said.with_columns(
        _id=pl.int_range(pl.len()).cast(pl.String),
        _received_at=pl.col("_at") + pl.duration(minutes=5),
        _source=pl.lit("system"),
        _revision=pl.lit(0),
    )
    return predictions, labels


def resident_mb() -> float:
    """Return the memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def expect(found: int, rows: int) -> None:
    """End unless every row was counted."""
    if found != rows:
        sys.exit(f"{found} rows of {rows} were counted")


class Cpu:
    """Seconds of CPU, of all threads, by what they were for."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Count a block."""
        began = time.process_time()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - began

    def per_million(self, rows: int) -> dict[str, float]:
        """Return seconds for a million rows."""
        return {what: round(spent * 1e6 / rows, 3) for what, spent in self.seconds.items()}


def through_windows(rows: int) -> dict[str, object]:
    """Part 1."""
    rng, cpu, held = np.random.default_rng(1), Cpu(), list[float]()
    reference = Reference.fit(profile_columns(window(rng, 0, IN_WINDOW)[0], COLUMNS))
    clock, state = WindowClock(length=HOUR), WindowState()
    closed = labelled = size = 0
    lost = 0.0
    windows = max(4, rows // IN_WINDOW)
    for number in range(windows):
        predictions, labels = window(rng, number, IN_WINDOW)
        with cpu.of("window clock"):
            state, done = clock.observe(state, predictions.get_column("_at").to_physical().to_numpy())
            closed += len(done)
        with cpu.of("profile"):
            size = len(reference.profile(profile_columns(predictions, COLUMNS)).to_bytes())
        with cpu.of("join"):
            joined = join(predictions, labels)
        with cpu.of("loss"):
            labelled += coverage(joined).labelled
            lost += float(np.nansum(losses(joined, Task.BINARY)))
        held.append(resident_mb())
    expect(labelled, windows * IN_WINDOW)
    half = len(held) // 2
    return {
        "rows": windows * IN_WINDOW,
        "windows_closed": closed,
        "error": round(lost / labelled, 4),
        "cpu_s_per_million": cpu.per_million(windows * IN_WINDOW),
        "bytes_per_window_profile": size,
        "resident_mb": {"first_half": round(max(held[:half])), "second_half": round(max(held[half:]))},
        "flat": max(held[half:]) <= FLAT * max(held[:half]),
    }


def whole_way(rows: int, folder: Path) -> dict[str, object]:
    """Part 2."""
    rng, cpu = np.random.default_rng(2), Cpu()
    plain = pl.DataFrame(features(rng, rows)).to_dicts()
    made = []
    for i, row in enumerate(plain):
        at = BEGIN + i * HOUR * 4 / rows
        id = id_prefix(at) + f"{i:020x}"
        told = Answer(output=i % 2, proba=(0.4, 0.6))
        made.append(
            Prediction(
                id=id,
                model="m",
                at=at,
                received_at=at,
                key=str(i % 1000),
                row=row,
                version="v1",
                arm="champion",
                answer=told,
                epoch=1,
                latency_us=500,
            )
        )
        made.append(
            Label(id=f"l{i:030d}", model="m", prediction=id, value=i % 2, at=at, received_at=at, source="system")
        )
    first, second = (SegmentJournal(folder / "journal" / name, most_bytes=1 << 34) for name in ("0", "1"))
    with closing(first), closing(second), cpu.of("journal, in groups of 128"):
        for start in range(0, len(made), 128):
            (second if start & 128 else first).append(made[start : start + 128])
    del made, plain
    rates = by_drainers(rows, folder)
    bytes_journal = sum(file.stat().st_size for file in (folder / "journal").rglob("*") if file.is_file())
    reader = SegmentReader(folder / "journal")
    with closing(DeltaLake(folder / "lake", COLUMNS, "m", folder / "lake.db")) as lake:
        drainer = Drainer(reader, lake)
        with cpu.of("drain into the lake"):
            while dict(lake.counts()).get("labels", 0) < rows:
                drainer.drain_once()
        bytes_lake = sum(file.stat().st_size for file in (folder / "lake").rglob("*.parquet"))
        with cpu.of("read back by windows, joined"):
            found = 0
            for hour in range(4):
                span = Interval(start=BEGIN + hour * HOUR, end=BEGIN + (hour + 1) * HOUR)
                predictions = lake.predictions(span)
                found += coverage(join(predictions, lake.deliveries(span, predictions.get_column("_id")))).labelled
    expect(found, rows)
    return {
        "predictions": rows,
        "labels": rows,
        "cpu_s_per_million": cpu.per_million(rows),
        "drained_per_second": {str(count): round(rate) for count, rate in rates.items()},
        "speed_up_of_2_drainers": round(rates[2] / rates[1], 2),
        "bytes_per_prediction": {"journal": round(bytes_journal / rows), "lake": round(bytes_lake / rows)},
    }


def by_drainers(rows: int, folder: Path) -> dict[int, float]:
    """Drain two journals by the loop alone and with two drainers; return predictions a second, the better of two."""
    rates = {1: 0.0, 2: 0.0}
    reader = SegmentReader(folder / "journal")
    for turn, count in enumerate((1, 2, 2, 1)):
        place = folder / f"drained-{turn}"
        with ExitStack() as stack:
            lake = stack.enter_context(closing(DeltaLake(place / "lake", COLUMNS, "m", place / "lake.db")))
            drainer = Drainer(reader, lake, keep=4 * rows)
            if count > 1:
                drainers = DrainerProcesses(count, folder / "journal", COLUMNS, place / "logs")
                stack.enter_context(drainers)
                for number in range(count):  # all of them have begun
                    while not drainers.ask(f"none-{number}", after=0, most=1):
                        time.sleep(0.01)
                expect(sum(len(drainers.answers(60.0)) for _ in range(count)), count)
                drainer = SharedDrainer(reader, lake, keep=4 * rows, drainers=drainers)
            began = time.perf_counter()
            while drainer.drain_once().read:
                pass
            rates[count] = max(rates[count], rows / (time.perf_counter() - began))
            expect(dict(lake.counts())["predictions"], rows)
    return rates


def by_workers(rows: int, folder: Path) -> dict[str, object]:
    """Part 3."""
    rng, files = np.random.default_rng(3), 4
    for number in range(files):
        each = rows // files
        at = pl.Series("at", np.sort(rng.integers(0, 24 * HOUR_US, each))).cast(pl.Datetime("us", "UTC"))
        frame = pl.DataFrame({"at": at, **features(rng, each)})
        frame.write_parquet(folder / f"{number}.parquet", row_group_size=max(1, each // 4))
    packed = Reference.fit(profile_columns(frame, COLUMNS)).to_bytes()
    told, pieces = (packed, COLUMNS, HOUR_US), whole_files(folder, least_rows=max(1, rows // 16))
    walls: dict[int, list[float]] = {1: [], 2: []}
    found: dict[int, Profile] = {}
    for count in (1, 2, 2, 1):
        # Both start interpreters of their own, so that neither is the one that asks.
        began = time.perf_counter()
        found = dict(profile_windows(LocalWorkers(count, apart=True), told, pieces))
        walls[count].append(time.perf_counter() - began)
    expect(sum(each.n for each in found.values()), rows // files * files)
    bytes_piece = [each.to_bytes() for each in found.values()]
    began = time.process_time()
    for packed_window in bytes_piece:
        left = Profile.from_bytes(packed_window)
        left = left + left
    merge_s = time.process_time() - began
    best = {count: min(times) for count, times in walls.items()}
    began = time.perf_counter()
    dict(profile_windows(LocalWorkers(2), told, pieces[:2]))
    start_s = time.perf_counter() - began - best[1] * 2 / len(pieces) / 2
    began = time.process_time()
    dict(profile_windows(LocalWorkers(1), told, pieces[:1]))
    piece_s = time.process_time() - began
    return {
        "rows": rows,
        "pieces": len(pieces),
        "windows_in_a_piece": len(found),
        "seconds": {str(count): round(wall, 2) for count, wall in best.items()},
        "speed_up_of_2": round(best[1] / best[2], 2),
        "seconds_to_begin": round(max(start_s, 0.0), 2),
        "piece_cpu_s": round(piece_s, 4),
        "merge_of_a_piece_cpu_s": round(merge_s, 4),
        "workers_until_merging_is_the_limit": int(piece_s / merge_s),
        "speed_up_of_1000_by_merge_cost": round(min(1000.0, piece_s / merge_s)),
    }


def apart(rows: int, folder: Path) -> dict[str, Any]:
    """Run part 3 by a program that workers need not import again, as with ``anew profile``."""
    said = f"import json, pathlib, scale; print(json.dumps(scale.by_workers({rows}, pathlib.Path({str(folder)!r}))))"
    done = subprocess.run(
        [sys.executable, "-c", said], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> int:
    """Run the three parts, print them as JSON, and say whether the promises held."""
    told = argparse.ArgumentParser()
    told.add_argument("--rows", type=int, default=10_000_000, help="predictions of part 1")
    told.add_argument("--whole", type=int, default=100_000, help="predictions of part 2")
    told.add_argument("--history", type=int, default=128_000_000, help="rows of part 3")
    given = told.parse_args()
    said: dict[str, object] = {"cores": os.cpu_count(), "load_at_begin": round(os.getloadavg()[0], 2)}
    with tempfile.TemporaryDirectory(prefix="anew-scale-") as place:
        for name in ("whole", "history"):
            Path(place, name).mkdir()
        workers = apart(given.history, Path(place, "history"))
        print(json.dumps({"workers": workers}, indent=1), flush=True)
        lake = whole_way(given.whole, Path(place, "whole"))
        print(json.dumps({"journal_and_lake": lake}, indent=1), flush=True)
    stream = through_windows(given.rows)
    print(json.dumps(said | {"stream": stream}, indent=1), flush=True)
    kept = bool(stream["flat"]) and float(str(workers["speed_up_of_2"])) >= SPEED_UP
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
