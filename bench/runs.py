"""What a long history costs: ``make bench-runs ARGS="--runs 10000"``.

It folds a record of so many runs, and of a quarter of them, through each stage; then puts the record into a project's
database and asks its dashboard for every page again and again, in this process. Seconds are of CPU. Ends with 1 where
four times as many runs took a stage much more than four times as long, or a page took longer than its bound.
"""

import argparse
import resource
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from measured import tell
from starlette.testclient import TestClient

from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.dashboard_source import ProjectSource
from anew.app.settings import load
from anew.dashboard.place import PLACES
from anew.dashboard.web import Dashboard, dashboard_app
from anew.testing.small_stages import SmallSettings, small_stages
from tests.app.small_project import write_project
from tests.dashboard.story import ToldSource
from tests.many_runs import many_runs

GREW, SERVER_MS = 1.5, 300
ASKED = {"accept": "text/html", "authorization": "Bearer admin"}


def folded(runs: int) -> dict[str, float]:
    """Return how long each stage took to fold so many runs, in seconds."""
    facts, taken = list(many_runs(runs)), dict[str, float]()
    for name, stage in small_stages(SmallSettings()).items():
        state, began = stage.initial(), time.process_time()
        for fact in facts:
            state = stage.apply(state, fact)
        taken[name] = time.process_time() - began
    return taken


def stored(folder: Path, runs: int) -> Path:
    """Make a project that has so many runs on record."""
    project = write_project(folder)
    settings, clock = load(project), SystemClock()
    settings.state.mkdir()
    with closing(Database(settings.state / "anew.db")) as database:
        grant = SQLLease(database, clock=clock).acquire("bench", 3_600)
        assert grant is not None, "nobody else is here"  # noqa: S101  an invariant of ours
        log, facts = SQLEventLog(database, clock=clock), many_runs(runs, model="small")
        while some := list(islice(facts, 5_000)):
            log.append(some, grant=grant)
    return project


def served(project: Path, newest: str, rounds: int) -> dict[str, float]:
    """Return how long the dashboard took for each page, in milliseconds: the 95th percentile."""
    told, source = ToldSource(()), ProjectSource(project)
    made = Dashboard(
        source=source, entrance=told, ended=told, key=b"k" * 32, cookie="session", hosts=frozenset({"testserver"})
    )
    asker, before, began = TestClient(dashboard_app(made)), _held(), time.process_time()
    asker.get("/", headers=ASKED)
    first, runs = time.process_time() - began, int(newest[1:])
    print(f"first page, which reads the record: {first:.1f} s; {(_held() - before) / runs:.1f} KB a run are kept")
    found = {}
    for place in PLACES:
        taken = []
        for _ in range(rounds):
            began = time.process_time()
            answer = asker.get(place.path.replace("{version:path}", newest), headers=ASKED)
            taken.append(1_000 * (time.process_time() - began))
            answer.raise_for_status()
        found[place.name] = sorted(taken)[int(0.95 * (rounds - 1))]
    return found


def _held() -> int:
    """Return the most memory that this process ever held, in KB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Measure, print what was found, and say what of it is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(f"storing {given.runs} runs")
        pages = served(stored(Path(folder), given.runs), f"v{given.runs}", given.rounds)
    for name, ms in pages.items():
        print(f"{name:<12}{ms:>8.0f} ms", flush=True)
    few, many = folded(given.runs // 4), folded(given.runs)
    print(f"{'stage':<12}{'a quarter s':>12}{'all s':>8}{'times':>7}")
    for name, taken in many.items():
        print(f"{name:<12}{few[name]:>12.2f}{taken:>8.2f}{taken / few[name]:>7.1f}", flush=True)
    met = max(pages.values()) <= SERVER_MS and all(taken <= GREW * 4 * few[name] for name, taken in many.items())
    print("met" if met else "MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
