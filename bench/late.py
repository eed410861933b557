"""What a label costs that comes late, when one comes for each of many windows that were scored.

Run it as ``make bench-late``. Windows of several sizes of an observed binary model, thirty columns, are scored by eight
metrics, of all rows and of four slices; then one label more comes for each window, and the loop scores them again.
Beside it stands what reading no more than the row and its labels takes, which no way of counting could save. Seconds
are of CPU. Last comes what objectives over a day of such windows add. Exit 0 only if a window costs no more when
there are four times as many of them, and hardly more with objectives over four times the period.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from measured import tell

sys.path.insert(0, str(Path(__file__).parents[1]))

from anew.adapters.delta_lake import DeltaLake
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.facts import WindowScored
from anew.domain.interval import Interval
from anew.domain.observation import Answer, Label, Observation, Prediction, id_prefix
from anew.monitor.performance import Performance
from anew.monitor.slo import SLO
from tests.loop.observed import START, Bed

__all__ = ["main"]

HOUR = timedelta(hours=1)
METRICS = ("accuracy", "f1", "precision", "recall", "roc_auc", "log_loss", "brier", "calibration_error")
NUMBERS = tuple(f"f{i}" for i in range(29))
SIZES = ((100, 50), (100, 200), (2_000, 40), (20_000, 6))
OVER_ROWS, OVER_WINDOWS, PERIODS = 2_000, 40, (6, 24)
GROWTH = 1.3
COLUMNS = Columns(
    time="at",
    target="y",
    features=(
        *(Column(name=each, kind=ColumnKind.NUMBER) for each in NUMBERS),
        Column(name="c", kind=ColumnKind.CATEGORY),
    ),
    task=Task.BINARY,
    classes=(0, 1),
)


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds a window: scored at first, scored again for one label, and its row and labels alone read."""

    first: float
    again: float
    row: float


def prediction_id(window: int, row: int, rows: int) -> str:
    """Name a prediction as gateways do, by its time."""
    return id_prefix(START + window * HOUR + row * HOUR / rows) + f"{row:020x}"


def window_of(number: int, rows: int, chances: np.random.Generator) -> list[Observation]:
    """Return a window's predictions, and the labels of all but the first."""
    found: list[Observation] = []
    for row, p in enumerate(chances.random(rows).tolist()):
        at = START + number * HOUR + row * HOUR / rows
        id, common = prediction_id(number, row, rows), {"model": "m", "at": at, "received_at": at}
        given = {**dict.fromkeys(NUMBERS, p), "c": "abcd"[row % 4]}
        answer = Answer(output=int(p > 0.5), proba=(1 - p, p))
        more = {"latency_us": 1, "version": "v1", "arm": "champion", "epoch": 0, "key": str(row)}
        found.append(Prediction(id=id, row=given, answer=answer, **common, **more))
        if row:
            found.append(Label(id=f"l{id}", prediction=id, value=int(chances.random() < p), **common))
    return found


def measure(rows: int, windows: int, over: int = 0) -> Cost:
    """Serve and score windows, then let one label more come for each; with objectives over so many windows besides."""
    with tempfile.TemporaryDirectory() as folder:
        lake = DeltaLake(Path(folder) / "lake", COLUMNS, "m", Path(folder) / "lake.db")
        objectives = tuple(SLO(metric=each, at_least=0.0, period=over * HOUR) for each in METRICS if over)
        bed = Bed(detectors=(Performance(metrics=METRICS, by=("c",)), *objectives), columns=COLUMNS, lake=lake)  # type: ignore[arg-type]  # any lake
        bed.approve("v1", START)
        chances = np.random.default_rng(0)
        for number in range(windows):
            bed.store(*window_of(number, rows, chances))
        now = START + windows * HOUR
        first = seconds(lambda: bed.turn(now))
        wanted = [prediction_id(number, 0, rows) for number in range(windows)]
        late = [Label(id=f"late{id}", model="m", prediction=id, at=now, received_at=now, value=1) for id in wanted]
        bed.store(*late)
        again = seconds(lambda: bed.turn(now + HOUR))
        revised = sum(1 for fact in bed.facts(WindowScored) if fact.revision)
        if revised != windows:
            sys.exit(f"{revised} of {windows} windows were scored again")
        row = seconds(lambda: [looked_up(lake, number, id) for number, id in enumerate(wanted)])
        lake.close()
    return Cost(*(1e3 * each / windows for each in (first, again, row)))


def looked_up(lake: DeltaLake, number: int, id: str) -> None:
    """Read one prediction and all that was said of it, as any way of counting has to."""
    at = START + number * HOUR
    span = Interval(start=at, end=at + timedelta(microseconds=1))
    if lake.predictions(span).height != 1 or lake.deliveries(span, pl.Series("_id", [id])).height != 1:
        sys.exit(f"{id} and its label are not found alone")


def seconds(work: object) -> float:
    """Return the CPU seconds that something takes."""
    began = time.process_time()
    work()  # type: ignore[operator]  # it is a function
    return time.process_time() - began


def main() -> None:
    """Measure, print, exit."""
    costs: dict[tuple[int, int], Cost] = {}
    for rows, windows in SIZES:
        tell(f"{windows} windows of {rows} rows")
        costs[rows, windows] = measure(rows, windows)
    print(f"{'rows':>7}{'windows':>9}{'scored, ms':>12}{'again, ms':>12}{'the row read, ms':>18}")
    for (rows, windows), cost in costs.items():
        print(f"{rows:>7}{windows:>9}{cost.first:>12.1f}{cost.again:>12.1f}{cost.row:>18.1f}")
    few, many = (costs[size].again for size in SIZES[:2])
    met = many <= GROWTH * few
    asked = f"a window with four times as many beside it costs at most {GROWTH:g} times as much"
    print(f"{'met   ' if met else 'MISSED'}  {asked}: {many / few:.2f}\n")
    sys.exit(0 if periods(costs[OVER_ROWS, OVER_WINDOWS]) and met else 1)


def periods(bare: Cost) -> bool:
    """Measure and print what objectives over a period cost a window; return whether the longer costs hardly more."""
    print(f"{len(METRICS)} objectives over a period, windows of {OVER_ROWS:,} rows, ms more for each window")
    found = []
    for over in PERIODS:
        tell(f"objectives over {over} windows")
        cost = measure(OVER_ROWS, OVER_WINDOWS, over)
        found.append(cost)
        print(f"{over:>7} windows{cost.first - bare.first:>12.1f}{cost.again - bare.again:>12.1f}")
    short, long = (each.first + each.again for each in found)
    met = long <= GROWTH * short
    asked = f"a window with objectives over four times the period costs at most {GROWTH:g} times as much"
    print(f"{'met   ' if met else 'MISSED'}  {asked}: {long / short:.2f}")
    return met


if __name__ == "__main__":
    main()
