"""A month of a loop, and of what it stores, in simulated time; and the lake killed at any moment while it is tidied.

Short as it stands; `make soak` makes it thirty days of a million events with a hundred retrains, and kills fifty times,
by a seed.
"""

import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.memory import ManualClock
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.segment_reader import SegmentReader
from anew.app.upkeep import EVERY_S, Upkeep
from anew.domain.errors import ConflictError
from anew.domain.facts import TrainingPlanned
from anew.domain.observation import Label, Prediction, id_prefix
from anew.loop.drain import Drainer
from anew.testing.contract_lake import COLUMNS, DAY, EVER, START, prediction
from anew.testing.law import LAWS
from tests.laws.telling import SETTINGS, Teller, stuck, warmed
from tests.system.month_program import BATCH, opened

pytestmark = pytest.mark.system

DAYS = int(os.environ.get("ANEW_SOAK_DAYS", "6"))
EVENTS = int(os.environ.get("ANEW_SOAK_EVENTS", "24000"))
RETRAINS = int(os.environ.get("ANEW_SOAK_RETRAINS", "8"))
KILLS = int(os.environ.get("ANEW_SOAK_KILLS", "6"))
SEED = int(os.environ.get("ANEW_SOAK_SEED", "1"))
KEEP = timedelta(days=2)
GROUP = 200
"""Predictions, each with its label, that are on disk at once."""


def served(i: int, at: datetime) -> tuple[Prediction, Label]:
    """Make the `i`-th prediction of the month and its label, with ids as gateways make them, by their time."""
    made = replace(prediction(i, at=at), id=id_prefix(at) + f"{i:020x}")
    return made, Label(id=f"l{i:08d}", model="m", prediction=made.id, at=at, received_at=at, value=1)


class Month:
    """A journal, and a lake with its upkeep, on one clock that is moved by hand; and stories of loops beside."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock()
        self.journal = SegmentJournal(folder / "journal" / "0", most_bytes=1 << 30, segment_bytes=1 << 18)
        self.reader = SegmentReader(folder / "journal")
        self.lake = DeltaLake(folder / "lake", COLUMNS, "m", folder / "lake.db")
        self.drainer = Drainer(self.reader, self.lake, keep=EVENTS // DAYS)
        self.upkeep = Upkeep(self.lake, self.reader, self.clock)
        self.acknowledged: Counter[str] = Counter()
        self.retrains, self.stories, self.broken = 0, 0, list[str]()

    def day(self, number: int) -> None:
        """Serve a day, label it, drain it, tidy; and let the loop have its share of trouble."""
        rows = EVENTS // DAYS // 2
        for start in range(0, rows, GROUP):
            group: list[Prediction | Label] = []
            for i in range(number * rows + start, number * rows + min(start + GROUP, rows)):
                at = START + i * DAY / rows
                group += served(i, at)
            self.journal.append(group)
            self.acknowledged.update(type(each).__name__ for each in group)
        while self.drainer.drain_once().read:
            pass
        while self.retrains < RETRAINS * (number + 1) / DAYS:
            self.story()
        self.clock.advance(EVERY_S + 1)
        self.upkeep.tidy(START + (number + 1) * DAY, KEEP, dict)

    def story(self) -> None:
        """Tell one loop a story of trouble, from its first champion to its settled end, and hold it to the laws."""
        told = Teller().tell(warmed(SEED * 1_000_003 + self.stories))
        self.stories += 1
        self.retrains += sum(isinstance(fact, TrainingPlanned) for fact in told.facts)
        self.broken += [f"{name}: {each}" for name, law in LAWS.items() for each in law(told.transactions, SETTINGS)]
        self.broken += [*told.wrong, *stuck(told)]

    def bytes(self) -> int:
        """Return what lake and journal take on the disk."""
        places = (self.folder / "lake", self.folder / "journal")
        return sum(file.stat().st_size for place in places for file in place.rglob("*") if file.is_file())


@pytest.mark.fault("O4")
@pytest.mark.timeout(0 if DAYS > 6 else 300)
def test_a_month_keeps_the_laws_loses_nothing_and_grows_no_further(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    month = Month(tmp_path)
    taken, held = [], []
    for number in range(DAYS):
        month.day(number)
        taken.append(month.bytes())
        held.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    assert not month.broken
    assert month.retrains >= RETRAINS
    assert month.lake.drained("0") == month.journal.last == sum(month.acknowledged.values())
    kept = month.lake.predictions(EVER)
    assert kept.get_column("_id").is_unique().all()
    assert kept.get_column("_at").min() >= START + (DAYS - 3) * DAY  # type: ignore[operator]  # a datetime
    assert list(month.lake.verify()) == []
    half = DAYS // 2
    assert max(taken[half:]) <= 1.3 * max(taken[:half])  # retention bounds it, by what it keeps and the day's own
    assert max(held[half:]) <= 1.1 * max(held[:half]) + (32 << 20)
    events, most = sum(month.acknowledged.values()), [max(taken[:half]) / 1e6, max(taken[half:]) / 1e6]
    what = (
        f"{DAYS} simulated days, {events:,} events, {month.retrains} retrains in {month.stories} stories, seed {SEED}"
    )
    halves = f"{most[0]:.1f} MB in the first half and {most[1]:.1f} MB in the second"
    record_property("figure", f"{what}: no law broken, disk {halves}")
    month.journal.close()
    month.lake.close()


@pytest.mark.fault("K9")
@pytest.mark.timeout(60 + 20 * KILLS)
def test_a_lake_killed_at_any_moment_while_it_is_tidied_has_what_it_said(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance, said = Random(SEED), -1
    for _ in range(KILLS):
        program = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("month_program.py"), tmp_path],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert program.stdout is not None
        for _ in range(chance.randint(1, 9)):
            said = int(program.stdout.readline())
        # Between one line and the next lies an append, or an append and the tidying.
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(chance.random() * 0.2 + 0.001)
        program.send_signal(signal.SIGKILL)
        said = max([said, *(int(line) for line in program.communicate()[0].splitlines())])
        with closing(opened(tmp_path)) as lake:
            drained = lake.drained("w0")
            assert said + 1 <= drained // BATCH <= said + 2  # one may be stored that it could not say any more
            # A commit that the mark has not heard of is what the next append finishes; nothing else may differ.
            assert [each for each in lake.verify() if "its mark is at" not in each] == []
            rows = lake.predictions(EVER).get_column("_id")
            assert rows.is_unique().all()
            oldest = max(0, drained - len(rows))
            assert sorted(rows.to_list()) == [prediction(i).id for i in range(oldest, drained)]
    with closing(opened(tmp_path)) as lake:
        for _ in range(2):  # the first finishes what was killed in the midst
            with suppress(ConflictError):
                lake.append("w0", lake.drained("w0") + 1, [prediction(lake.drained("w0"))])
        assert list(lake.verify()) == []
    record_property(
        "figure", f"{KILLS} kills at random moments of tidying, seed {SEED}: every row that was said is there"
    )
