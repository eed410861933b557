"""What a long history costs: ``make bench-runs ARGS="--runs 10000"``.

It folds a record of so many runs, and of a quarter of them, through each stage (not of a million: ``--pages``); then
puts the record into a project's database and asks its dashboard for every page again and again: in a process that is
the first to read it, and in one that begins where the first one ended. Seconds are of CPU, memory is the most that the
process held above what it had before. Ends with 1 where four times as many runs took a stage much more than four times
as long, or a page took longer than its bound. ``--folder`` keeps the project, and goes on with the one that is there.
"""

import argparse
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
from measured import tell
from starlette.testclient import TestClient

from anew.adapters.fact_chain import GENESIS, link
from anew.adapters.sql_engine import Database
from anew.app.dashboard_source import ProjectSource
from anew.dashboard.place import PLACES
from anew.dashboard.web import Dashboard, dashboard_app
from anew.domain.fact import Fact
from anew.testing.small_stages import SmallSettings, small_stages
from tests.app.small_project import write_project
from tests.dashboard.story import ToldSource
from tests.many_runs import many_runs

GREW, SERVER_MS = 1.5, 300
RECORDED_AT = "2026-01-01T00:00:00.000000+00:00"
_INSERT = """
INSERT INTO fact (seq, id, model, kind, schema, at, cause, recorded_at, body, prev_hash, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
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
    """Make a project that has so many runs on record, its facts written straight into their table."""
    project = write_project(folder)
    state = project / ".anew"
    if (state / "stored").is_file():
        return project
    state.mkdir(exist_ok=True)
    with closing(Database(state / "anew.db")):
        pass
    with closing(sqlite3.connect(state / "anew.db", isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-2000000")
        rows = _rows(many_runs(runs, model="small"))
        while some := list(islice(rows, 100_000)):
            database.execute("BEGIN")
            database.executemany(_INSERT, some)
            database.execute("COMMIT")
    (state / "stored").touch()
    return project


def _rows(facts: Iterable[Fact]) -> Iterator[tuple[object, ...]]:
    """Yield facts as rows of their table; that each comes back as it was, the tests of `encode` say."""
    encoder, previous = msgspec.json.Encoder(order="deterministic"), GENESIS
    for seq, fact in enumerate(facts, 1):
        kind, body = fact.kind, encoder.encode(fact).decode()
        now = link(previous, seq=seq, kind=kind, schema=fact.schema, recorded_at=RECORDED_AT, body=body)
        yield (
            seq,
            fact.id,
            fact.model,
            kind,
            fact.schema,
            fact.at.isoformat(timespec="microseconds"),
            fact.cause,
            RECORDED_AT,
            body,
            previous,
            now,
        )
        previous = now


def served(project: Path, newest: str, rounds: int) -> dict[str, float]:
    """Return how long the dashboard took for each page, in milliseconds: the 95th percentile."""
    told, source = ToldSource(()), ProjectSource(project)
    made = Dashboard(
        source=source, entrance=told, ended=told, key=b"k" * 32, cookie="session", hosts=frozenset({"testserver"})
    )
    asker, before, began, clock = TestClient(dashboard_app(made)), _held(), time.process_time(), time.perf_counter()
    while (answer := asker.get("/", headers=ASKED)).status_code == 503:
        pass  # the record is being read
    answer.raise_for_status()
    taken, passed = time.process_time() - began, time.perf_counter() - clock
    found = {}
    for place in PLACES:
        took = []
        for _ in range(rounds):
            began = time.process_time()
            answer = asker.get(place.path.replace("{version:path}", newest), headers=ASKED)
            took.append(1_000 * (time.process_time() - began))
            answer.raise_for_status()
        found[place.name] = sorted(took)[int(0.95 * (rounds - 1))]
    held = f"{_held() / 1_024:.0f} MB held at most, {(_held() - before) / 1_024:.0f} of them since it began"
    kept = sum(each.stat().st_size for each in (project / ".anew" / "dashboard").glob("*")) / 1_048_576
    print(f"first page: {taken:.1f} s of CPU, {passed:.1f} s; {held}; {kept:.0f} MB kept", flush=True)
    return found


def in_process(project: Path, newest: str, rounds: int) -> dict[str, float]:
    """Return the same, found in a process of its own, whose memory and files are nobody else's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(served, project, newest, rounds).result()


def _held() -> int:
    """Return the most memory that this process ever held, in KB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Measure, print what was found, and say what of it is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the project is made, or is already")
    parser.add_argument("--pages", action="store_true", help="do not fold the stages")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(f"storing {given.runs} runs")
        project = stored(given.folder or Path(folder), given.runs)
        both = [in_process(project, f"v{given.runs}", given.rounds) for _ in ("the first", "one that goes on")]
    print(f"{'page':<12}{'first ms':>10}{'goes on ms':>12}")
    for name in both[0]:
        print(f"{name:<12}{both[0][name]:>10.0f}{both[1][name]:>12.0f}", flush=True)
    met = max(max(each.values()) for each in both) <= SERVER_MS
    if not given.pages:
        few, many = folded(given.runs // 4), folded(given.runs)
        print(f"{'stage':<12}{'a quarter s':>12}{'all s':>8}{'times':>7}")
        for name, taken in many.items():
            print(f"{name:<12}{few[name]:>12.2f}{taken:>8.2f}{taken / few[name]:>7.1f}", flush=True)
        met = met and all(taken <= GREW * 4 * few[name] for name, taken in many.items())
    print("met" if met else "MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
