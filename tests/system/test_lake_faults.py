"""Acknowledged is stored, once: through kills at every boundary, power loss, and full disks."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.killpoint import VARIABLE
from anew.adapters.segment_journal import SegmentJournal
from anew.domain.errors import AnewError, IntegrityError, UnavailableError
from anew.domain.observation import Observation
from anew.loop.drain import Drainer
from anew.testing.contract_lake import COLUMNS, EVER, label, prediction
from anew.testing.faulty_disk import FaultyDisk, PowerLoss

pytestmark = pytest.mark.system

PROGRAM = Path(__file__).with_name("lake_program.py")


def _rows(first: int, n: int) -> list[Observation]:
    return [o for i in range(first, first + n) for o in (prediction(i, output=i % 2), label(i, i % 2))]


def _lake(folder: Path, disk: FaultyDisk | None = None) -> DeltaLake:
    return DeltaLake(folder / "lake", COLUMNS, "m", folder / "state" / "lake.db", disk=disk)


def _ids(folder: Path, table: str) -> Counter[str]:
    return Counter(pl.read_delta(str(folder / "lake" / table))["_id"].to_list())


def _run(folder: Path, *, kill: str = "", kind: str = "careful") -> int:
    environment = {**os.environ, VARIABLE: kill} if kill else {k: v for k, v in os.environ.items() if k != VARIABLE}
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, kind], env=environment, check=False, capture_output=True, timeout=60
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


KILLS = (
    "drain.before_write:2",
    "lake.files_stored:1",
    "lake.intent_stored:2",
    "lake.commit_stored:1",
    "lake.commit_stored:4",
    "lake.mark_moved:1",
    "drain.after_write:2",
    "drain.before_trim:1",
    "drain.after_trim:1",
)


@pytest.mark.fault("K8")
def test_kills_at_every_boundary_lose_and_double_nothing(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "journal" / "w0", segment_bytes=4096)
    for turn, kill in enumerate(KILLS):
        # New traffic comes while the drainer is down, so that batches end elsewhere than before the kill.
        journal.append(_rows(150 * turn, 150))
        assert _run(tmp_path, kill=kill) == -signal.SIGKILL, kill
    assert _run(tmp_path) == 0
    journal.close()
    expected = 150 * len(KILLS)
    assert _ids(tmp_path, "predictions") == Counter({f"p{i:08d}": 1 for i in range(expected)})
    assert _ids(tmp_path, "labels") == Counter({f"l{i:08d}": 1 for i in range(expected)})
    lake = _lake(tmp_path)
    assert list(lake.verify()) == []
    assert lake.drained("w0") == journal.last == sum(lake.counts().values())
    lake.close()


@pytest.mark.fault("K8")
def test_control_an_app_transaction_that_is_not_read_first_doubles_rows(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "journal" / "w0")
    journal.append(_rows(0, 50))
    journal.close()
    assert _run(tmp_path, kill="lake.commit_stored:1", kind="careless") == -signal.SIGKILL
    assert _run(tmp_path, kind="careless") == 0
    assert DeltaTable(tmp_path / "careless").count() > 100


@dataclass(frozen=True)
class Batch:
    """What was read."""

    journal: str
    position: int
    observations: Sequence[Observation]


@dataclass
class DurableJournal:
    """A journal that survives everything, of which only what was trimmed is gone."""

    rows: list[Observation] = field(default_factory=list)
    trimmed: int = 0

    def journals(self) -> Sequence[str]:
        """The one."""
        return ["w0"]

    def read(self, journal: str, *, after: int, most: int) -> Batch:
        """Rows above `after`."""
        if after < self.trimmed:
            raise IntegrityError(f"journal {journal}: records after {after} are gone")
        rows = self.rows[after : after + most]
        return Batch(journal, after + len(rows), rows)

    def trim(self, journal: str, *, upto: int) -> None:
        """Forget."""
        assert journal == "w0"
        self.trimmed = upto


def _after_power_loss(folder: Path, disk: FaultyDisk, chance: random.Random) -> None:
    """Leave of the tables what the medium has; the mark rests on SQLite, which syncs by itself."""
    for found in [p for p in (folder / "lake").rglob("*") if p.is_dir()]:
        survivors = disk.survivors(found, chance)
        for path in [p for p in found.iterdir() if p.is_file()]:
            path.unlink()
        for name, content in survivors.items():
            (found / name).write_bytes(content)


def _power_goes(folder: Path, seed: int, *, lies: bool = False) -> tuple[DurableJournal, list[str]]:
    """Drain until the power goes at a random operation, come back, drain the rest; return the damage left."""
    chance = random.Random(seed)
    journal = DurableJournal(_rows(0, 24))
    disk = FaultyDisk(power_ends_at=chance.randint(1, 110), lies=lies)
    lake = _lake(folder, disk)
    with pytest.raises(PowerLoss):
        Drainer(journal, lake, most=8, rounds=100, keep=0).drain_once()
    disk.shut()
    lake.close()
    _after_power_loss(folder, disk, chance)
    lake = _lake(folder)
    problems: list[str] = []
    try:
        Drainer(journal, lake, most=11, rounds=100, keep=0).drain_once()
        problems = list(lake.verify())
    except AnewError as exc:
        problems = [str(exc)]
    lake.close()
    return journal, problems


@pytest.mark.fault("D9")
def test_a_power_loss_at_any_point_loses_and_doubles_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for seed in range(50):
        folder = tmp_path / str(seed)
        journal, problems = _power_goes(folder, seed)
        assert problems == [], seed
        for table, kind in (("predictions", "p"), ("labels", "l")):
            assert _ids(folder, table) == Counter({f"{kind}{i:08d}": 1 for i in range(24)}), seed
        lake = _lake(folder)
        assert lake.drained("w0") == len(journal.rows)
        assert lake.labelled(EVER).height == 24
        lake.close()
        shutil.rmtree(folder)
    record_property("figure", "50 of 50 losses of power: stored = acknowledged")


@pytest.mark.fault("D9")
def test_control_letting_the_journal_go_on_an_unsynced_commit_loses_rows(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    lost = sum(bool(_power_goes(tmp_path / str(seed), seed, lies=True)[1]) for seed in range(50))
    assert lost >= 20  # of the very points at which the drainer loses nothing: some go before anything was trusted
    record_property("figure", f"without the sync {lost} of 50 lose rows")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB and 2,000 files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=2000", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs privileges; the next test limits the size of files instead")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _leave(disk: Path, pages: int) -> Path:
    """Fill the disk up to so many pages; return the file that fills it."""
    ballast = disk / "ballast"
    page = bytes(4096)
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(page) == len(page):
            pass
    os.truncate(ballast, max(0, ballast.stat().st_size // 4096 - pages) * 4096)
    return ballast


@pytest.mark.fault("D2")
@pytest.mark.fault("D5")
def test_a_full_disk_keeps_rows_in_the_journal_and_goes_on_when_there_is_room(
    small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    journal, lake = DurableJournal(_rows(0, 10)), _lake(small_disk)
    drainer = Drainer(journal, lake, most=200, keep=0)
    drainer.drain_once()
    failed: Counter[str] = Counter()
    for pages in range(40):  # the room ends in each step of an append: files, mark, commits, mark again
        journal.rows += _rows(len(journal.rows) // 2, 20)
        ballast = _leave(small_disk, pages)
        try:
            drainer.drain_once()
        except UnavailableError as problem:
            failed["lake.db" if "lake.db" in str(problem) else "table" if "table" in str(problem) else "file"] += 1
            assert "\x1b" not in str(problem)
        assert sum(lake.counts().values()) == lake.drained("w0")
        assert lake.predictions(EVER).height == lake.counts()["predictions"]
        assert journal.trimmed <= lake.drained("w0")
        assert DeltaTable(small_disk / "lake" / "predictions").count() >= lake.counts()["predictions"]
        ballast.unlink()
    assert len(failed) == 3, failed
    while drainer.drain_once().read:
        pass
    assert sum(lake.counts().values()) == lake.drained("w0") == len(journal.rows)
    assert lake.predictions(EVER).height == len(journal.rows) // 2
    assert DeltaTable(small_disk / "lake" / "labels").count() == len(journal.rows) // 2
    assert list(lake.verify()) == []
    lake.close()
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.fault("D4")
@pytest.mark.fault("D5")
def test_a_limit_on_file_sizes_is_an_error_and_the_lake_goes_on_after_it(tmp_path: Path) -> None:
    journal, lake = DurableJournal(_rows(0, 60)), _lake(tmp_path)
    drainer = Drainer(journal, lake, most=60)
    drainer.drain_once()
    journal.rows += _rows(60, 2000)
    drainer.most = 4000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A reached limit sends SIGXFSZ, which Python ignores from its start: the write fails with EFBIG.
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 10, hard))
    try:
        with pytest.raises(UnavailableError):
            drainer.drain_once()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (lake.drained("w0"), lake.predictions(EVER).height) == (120, 60)
    assert drainer.drain_once().stored == 4000
    assert list(lake.verify()) == []
    lake.close()


def _full_of_files(folder: Path) -> list[Path]:
    """Make empty files until there can be no more."""
    made: list[Path] = []
    folder.mkdir()
    try:
        while True:
            made.append(folder / str(len(made)))
            made[-1].touch()
    except OSError:
        return made[:-1]


@pytest.mark.fault("D19")
def test_without_inodes_rows_stay_in_the_journal_until_there_are_some(small_disk: Path) -> None:
    journal, lake = DurableJournal(_rows(0, 10)), _lake(small_disk)
    drainer = Drainer(journal, lake, most=200, keep=0)
    drainer.drain_once()
    journal.rows += _rows(10, 20)
    ballast = _full_of_files(small_disk / "ballast")
    assert len(ballast) > 10
    with pytest.raises(UnavailableError, match=r"No space left|os error 28"):
        drainer.drain_once()
    assert journal.trimmed <= lake.drained("w0") == 20
    for each in ballast:
        each.unlink()
    while drainer.drain_once().read:
        pass
    assert sum(lake.counts().values()) == lake.drained("w0") == len(journal.rows) == 60
    assert lake.predictions(EVER).height == 30
    assert list(lake.verify()) == []
    lake.close()
