"""Many gateways write; two loops want to drain, or one has two drainers: every acknowledged row is stored once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from anew.adapters.delta_lake import DeltaLake
from anew.testing.contract_lake import COLUMNS

pytestmark = pytest.mark.system

HERE = Path(__file__).parent
WRITERS, COMMITS, ROWS = 4, 60, 20

WRITER = """
import sys
from pathlib import Path
from anew.adapters.segment_journal import SegmentJournal
from anew.testing.contract_lake import prediction
folder, number, commits, rows = Path(sys.argv[1]), *map(int, sys.argv[2:])
journal = SegmentJournal(folder / "journal" / f"w{number}", segment_bytes=4096)
for commit in range(commits):
    first = (number * commits + commit) * rows
    journal.append([prediction(i) for i in range(first, first + rows)])
    print(first, flush=True)  # acknowledged: it is on disk
journal.close()
"""

DRAINER = """
import json, sys, time
from pathlib import Path
from tests.system.lake_program import CarelessLake
from anew.adapters.delta_lake import DeltaLake
from anew.adapters.segment_reader import SegmentReader
from anew.domain.errors import ConflictError
from anew.loop.drain import Drainer
from anew.testing.contract_lake import COLUMNS
folder, kind = Path(sys.argv[1]), sys.argv[2]
reader, turns, refused = SegmentReader(folder / "journal"), 0, 0
while not (folder / "over").exists():
    try:
        if kind == "careless":
            lake = CarelessLake(folder)
        else:
            lake = DeltaLake(folder / "lake", COLUMNS, "m", folder / "state" / "lake.db")
        drainer = Drainer(reader, lake, most=100, rounds=2, keep=0)
        for _ in range(5):
            turns += drainer.drain_once().read > 0
        lake.close()
    except ConflictError:
        refused += 1
        lake.close()
    except Exception:
        if kind != "careless":
            raise
    (folder / f"said-{sys.argv[3]}.json").write_text(json.dumps({"turns": turns, "refused": refused}))
    time.sleep(0.01)
"""

LOOP = """
import json, sys, time
from pathlib import Path
from tests.system.lake_program import CarelessLake
from anew.adapters.delta_lake import DeltaLake
from anew.adapters.drainer_processes import DrainerProcesses
from anew.adapters.segment_reader import SegmentReader
from anew.domain.errors import UnavailableError
from anew.loop.shared_drain import SharedDrainer
from anew.testing.contract_lake import COLUMNS
folder, kind, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if kind == "careless":
    lake = CarelessLake(folder)
else:
    lake = DeltaLake(folder / "lake", COLUMNS, "m", folder / "state" / "lake.db")
stored, problems = 0, []
with DrainerProcesses(2, folder / "journal", COLUMNS, folder / f"logs-{name}", lease_s=1.0) as drainers:
    drainer = SharedDrainer(SegmentReader(folder / "journal"), lake, most=50, rounds=2, keep=0, drainers=drainers)
    while not (folder / "over").exists():
        try:
            stored += drainer.drain_once().stored
        except UnavailableError as exc:
            problems.append(str(exc))
        except Exception:
            if kind != "careless":
                raise
        (folder / f"said-{name}.json").write_text(json.dumps({"stored": stored, "problems": problems}))
        time.sleep(0.01)
lake.close() if kind != "careless" else None
"""


def started(code: str, *told: object) -> "subprocess.Popen[str]":
    """Run a program that finds the tests."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, told)],
        cwd=HERE.parents[1],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path])},
    )


def stored(folder: Path) -> int:
    """Return how many rows of predictions the lake has, whoever writes to it meanwhile."""
    table = folder / "lake" / "predictions"
    return DeltaTable(table).count() if DeltaTable.is_deltatable(str(table)) else 0


def eventually(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.1)


@pytest.mark.fault("D14")
def test_four_writers_and_two_drainers_store_all_of_it_once_though_one_drainer_is_killed(tmp_path: Path) -> None:
    writers = [started(WRITER, tmp_path, number, COMMITS, ROWS) for number in range(WRITERS)]
    drainers = [started(DRAINER, tmp_path, "careful", name) for name in ("a", "b")]
    try:
        eventually(lambda: stored(tmp_path) > 0)
        drainers[0].kill()
        drainers[0].communicate()
        acknowledged = [int(line) for writer in writers for line in writer.communicate(timeout=90)[0].split()]
        assert len(acknowledged) == WRITERS * COMMITS
        drainers.append(started(DRAINER, tmp_path, "careful", "c"))
        everything = WRITERS * COMMITS * ROWS
        eventually(lambda: stored(tmp_path) >= everything)
        eventually((tmp_path / "said-c.json").exists)
    finally:
        (tmp_path / "over").touch()
        ends = [drainer.communicate(timeout=60) and drainer.returncode for drainer in drainers]
    assert ends == [-signal.SIGKILL, 0, 0]
    ids = Counter(pl.read_delta(str(tmp_path / "lake" / "predictions"))["_id"].to_list())
    assert ids == Counter({f"p{first + i:08d}": 1 for first in acknowledged for i in range(ROWS)})
    told = [json.loads((tmp_path / f"said-{name}.json").read_text()) for name in ("b", "c")]
    assert sum(each["turns"] for each in told) > 0


def drainers_of(folder: Path) -> list[int]:
    """Return the process ids of the drainers that read for a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if b"anew.adapters.drainer_worker" in command and str(folder / "journal").encode() in command:
                found.append(int(process.name))
    return sorted(found)


def writing(folder: Path, numbers: Sequence[int]) -> "list[subprocess.Popen[str]]":
    """Start writers with these numbers."""
    return [started(WRITER, folder, number, COMMITS, ROWS) for number in numbers]


def acknowledged(writers: "Sequence[subprocess.Popen[str]]") -> list[int]:
    """Let writers come to their end; return the first row of each of their commits."""
    found = [int(line) for writer in writers for line in writer.communicate(timeout=90)[0].split()]
    assert len(found) == len(writers) * COMMITS
    return found


@pytest.mark.fault("D14")
def test_four_writers_and_two_drainers_of_one_loop_store_all_of_it_once_though_each_of_the_three_dies(
    tmp_path: Path,
) -> None:
    half, everything = WRITERS // 2 * COMMITS * ROWS, WRITERS * COMMITS * ROWS
    loops = [started(LOOP, tmp_path, "careful", "a")]
    writers = writing(tmp_path, range(WRITERS // 2))
    try:
        eventually(lambda: stored(tmp_path) > 0 and len(drainers_of(tmp_path)) == 2)
        first = drainers_of(tmp_path)
        os.kill(first[0], signal.SIGSTOP)  # it cannot end by itself: it is gone when its lease has passed on
        os.kill(first[1], signal.SIGKILL)
        firsts = acknowledged(writers)
        eventually(lambda: stored(tmp_path) >= half)
        eventually(lambda: len(drainers_of(tmp_path)) == 2 and not set(first) & set(drainers_of(tmp_path)))
        writers = writing(tmp_path, range(WRITERS // 2, WRITERS))
        eventually(lambda: stored(tmp_path) > half)
        loops[0].kill()
        loops[0].communicate()
        loops.append(started(LOOP, tmp_path, "careful", "b"))
        firsts += acknowledged(writers)
        eventually(lambda: stored(tmp_path) >= everything)
        eventually((tmp_path / "said-b.json").exists)
    finally:
        (tmp_path / "over").touch()
        ends = [loop.communicate(timeout=60) and loop.returncode for loop in loops]
    assert ends == [-signal.SIGKILL, 0]
    assert drainers_of(tmp_path) == []
    ids = Counter(pl.read_delta(str(tmp_path / "lake" / "predictions"))["_id"].to_list())
    assert ids == Counter({f"p{first + i:08d}": 1 for first in firsts for i in range(ROWS)})
    with closing(DeltaLake(tmp_path / "lake", COLUMNS, "m", tmp_path / "state" / "lake.db")) as lake:
        assert list(lake.verify()) == []
        assert lake.counts()["predictions"] == everything


@pytest.mark.fault("D14")
@pytest.mark.parametrize("program", [DRAINER, LOOP], ids=["alone", "with drainers"])
def test_control_drainers_that_hold_no_lock_store_rows_twice(tmp_path: Path, program: str) -> None:
    writer = started(WRITER, tmp_path, 0, COMMITS, ROWS)
    writer.communicate(timeout=90)
    drainers = [started(program, tmp_path, "careless", name) for name in ("a", "b")]
    table = tmp_path / "careless"

    def over() -> bool:
        return DeltaTable.is_deltatable(str(table)) and DeltaTable(table).count() > COMMITS * ROWS

    try:
        eventually(over)
    finally:
        (tmp_path / "over").touch()
        for drainer in drainers:
            drainer.communicate(timeout=60)
