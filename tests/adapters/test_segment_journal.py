"""The journal in segment files: round trips, torn tails, full disks, failed syncs, power loss, kill -9."""

import errno
import os
import random
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anew.adapters.memory_lake import MemoryLake
from anew.adapters.segment_format import Header, encode_group, encode_record
from anew.adapters.segment_journal import SegmentJournal, SegmentReader
from anew.adapters.segment_reader import CLOCK
from anew.domain.errors import ConflictError, IntegrityError, UnavailableError
from anew.domain.observation import Answer, Label, Observation, Prediction, ShadowAnswer
from anew.loop.drain import Drainer
from anew.testing.contract_lake import COLUMNS
from anew.testing.faulty_disk import FaultyDisk, PowerLoss

AT = datetime(2026, 1, 1, tzinfo=UTC)


def label(name: str) -> Label:
    return Label(id=name, model="m", prediction="p" * 32, at=AT, received_at=AT, value=1, source="é\x00</script>")


def prediction(name: str, **changes: object) -> Prediction:
    fields: dict[str, object] = {
        "id": name,
        "model": "m",
        "at": AT,
        "received_at": AT,
        "key": "k",
        "row": {"amount": 1.5, "city": None, "shop": "a:b"},
        "version": "v1",
        "arm": "champion",
        "answer": Answer(output=1, proba=(0.25, 0.75)),
        "epoch": 3,
        "latency_us": 12,
    }
    return Prediction(**(fields | changes))  # type: ignore[arg-type] # fields by name, for brevity


def everything(root: Path, journal: str = "w1", most: int = 7) -> list[Observation]:
    reader, after = SegmentReader(root), 0
    found: list[Observation] = []
    while (batch := reader.read(journal, after=after, most=most)).position > after:
        assert len(batch.observations) <= most
        found += batch.observations
        after = batch.position
    return found


def names(observations: Sequence[Observation]) -> list[str]:
    return [observation.id for observation in observations]


def test_what_is_appended_is_read_back_equal_and_in_order(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1", segment_bytes=600)
    first: list[Observation] = [prediction("a"), label("b")]
    second: list[Observation] = [
        prediction("c", answer=Answer(output="spam"), shadow_version="v2", shadow=Answer(output=0.5), key="ü")
    ]
    assert journal.append(first) == 2
    assert journal.append(second) == 3
    assert everything(tmp_path) == first + second
    journal.close()
    assert everything(tmp_path, most=1) == first + second
    assert SegmentReader(tmp_path).journals() == ["w1"]


def test_reading_goes_on_where_it_stopped_across_segments_and_openings(tmp_path: Path) -> None:
    reader, position, seen = SegmentReader(tmp_path), 0, []
    for opening in range(4):
        journal = SegmentJournal(tmp_path / "w1", segment_bytes=400)
        for number in range(5):
            journal.append([label(f"{opening}-{number}-{part}") for part in range(number)])
            batch = reader.read("w1", after=position, most=3)
            seen += names(batch.observations)
            position = batch.position
        journal.close()
    while (batch := reader.read("w1", after=position, most=3)).observations:
        seen += names(batch.observations)
        position = batch.position
    assert seen == [f"{o}-{n}-{p}" for o in range(4) for n in range(5) for p in range(n)]
    assert len(list((tmp_path / "w1").glob("*.seg"))) > 4


def test_trim_deletes_whole_segments_only_and_numbers_go_on(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1", segment_bytes=1)
    for number in range(6):
        journal.append([label(str(number))])
    reader = SegmentReader(tmp_path)
    reader.trim("w1", upto=3)
    assert len(list((tmp_path / "w1").glob("*.seg"))) == 3
    assert names(reader.read("w1", after=3, most=9).observations) == ["3", "4", "5"]
    with pytest.raises(IntegrityError, match="records 3 to 3 are gone"):
        reader.read("w1", after=2, most=9)
    reader.trim("w1", upto=6)
    assert len(list((tmp_path / "w1").glob("*.seg"))) == 1
    journal.close()
    again = SegmentJournal(tmp_path / "w1")
    position = again.append([label("6")])
    assert names(reader.read("w1", after=6, most=9).observations) == ["6"]
    assert reader.read("w1", after=position, most=9).observations == ()
    with pytest.raises(IntegrityError, match="ends at"):
        SegmentReader(tmp_path).read("w1", after=position + 5, most=9)
    again.close()


def test_two_writers_of_one_journal_are_refused(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1")
    with pytest.raises(ConflictError, match="another process"):
        SegmentJournal(tmp_path / "w1")
    journal.close()
    SegmentJournal(tmp_path / "w1").close()
    with pytest.raises(UnavailableError, match="closed"):
        journal.append([label("late")])


class SlowDisk(FaultyDisk):
    """A disk whose syncs take as long as a real one's, so that others come meanwhile."""

    def sync(self, descriptor: int) -> None:
        """Sync after a while."""
        time.sleep(0.001)
        super().sync(descriptor)


def test_appends_of_many_threads_share_syncs_and_each_knows_its_number(tmp_path: Path) -> None:
    disk = SlowDisk()
    journal = SegmentJournal(tmp_path / "w1", disk=disk)
    numbers: dict[int, str] = {}

    def work(worker: int) -> None:
        for count in range(50):
            numbers[journal.append([label(f"{worker}-{count}")])] = f"{worker}-{count}"

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    found = names(everything(tmp_path))
    assert found == [numbers[position] for position in sorted(numbers)]
    assert len(found) == 400
    assert disk.operations < 2 * 400  # one write and one sync each would be 800


def test_a_torn_tail_is_cut_off_and_a_damaged_middle_is_named(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1")
    for number in range(3):
        journal.append([label(str(number))])
    (segment,) = (tmp_path / "w1").glob("*.seg")
    os.close(journal._lock)  # as a killed process leaves it: no end mark
    whole = segment.read_bytes().rstrip(b"\0")
    segment.write_bytes(whole[:-1] + bytes(50))  # a part of the group over the zeros that were there
    assert names(everything(tmp_path)) == ["0", "1"]
    segment.write_bytes(whole[:-1])
    assert names(everything(tmp_path)) == ["0", "1"]
    again = SegmentJournal(tmp_path / "w1")
    assert again.torn_bytes > 0
    again.append([label("3")])
    again.close()
    assert names(everything(tmp_path)) == ["0", "1", "3"]

    damaged = bytearray(whole)
    damaged[whole.index(b"prediction")] ^= 1
    segment.write_bytes(damaged)
    with pytest.raises(IntegrityError, match=rf"{segment.name}.*offset 38"):
        everything(tmp_path)
    later = sorted((tmp_path / "w1").glob("*.seg"))[-1]
    later.unlink()
    with pytest.raises(IntegrityError, match="damaged although a whole one"):
        SegmentJournal(tmp_path / "w1")


def test_damage_to_the_last_group_of_a_closed_journal_is_found(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1")
    journal.append([label("0")])
    journal.close()
    (segment,) = (tmp_path / "w1").glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[data.index(b"prediction")] ^= 1
    segment.write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged"):
        everything(tmp_path)


def test_a_segment_cut_short_in_the_middle_of_the_chain_is_found(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1", segment_bytes=1)
    for number in range(3):
        journal.append([label(str(number))])
    journal.close()
    second = sorted((tmp_path / "w1").glob("*.seg"))[1]
    second.write_bytes(second.read_bytes()[:-3])
    with pytest.raises(IntegrityError, match="was acknowledged"):
        everything(tmp_path)


@pytest.mark.fault("D1")
def test_a_full_disk_is_refused_and_service_resumes_unaided(tmp_path: Path) -> None:
    disk = FaultyDisk(capacity=3000)
    journal = SegmentJournal(tmp_path / "w1", disk=disk, segment_bytes=700)
    acknowledged, refused = [], 0
    for number in range(60):
        if number == 40:
            disk.capacity = None
        try:
            journal.append([label(str(number))])
            acknowledged.append(str(number))
        except UnavailableError:
            refused += 1
    assert refused
    assert acknowledged[-20:] == [str(number) for number in range(40, 60)]
    assert names(everything(tmp_path)) == acknowledged
    journal.close()


def _taken(folder: Path, ahead_bytes: int) -> int:
    """Return how many labels a small disk takes."""
    journal = SegmentJournal(folder, disk=FaultyDisk(capacity=9000), segment_bytes=100_000, ahead_bytes=ahead_bytes)
    count = 0
    with pytest.raises(UnavailableError):
        while True:
            journal.append([label(str(count))])
            count += 1
    journal.close()
    return count


@pytest.mark.fault("D1")
def test_zeros_laid_out_ahead_take_no_room_from_what_is_acknowledged(tmp_path: Path) -> None:
    count = _taken(tmp_path / "ahead" / "w1", 1 << 20)
    assert count == _taken(tmp_path / "plain" / "w1", 0) > 30
    assert names(everything(tmp_path / "ahead")) == [str(number) for number in range(count)]


def _sizes(folder: Path, ahead_bytes: int) -> set[int]:
    """Return the sizes that a segment has after each of a hundred commits."""
    journal, sizes = SegmentJournal(folder, ahead_bytes=ahead_bytes), set()
    for number in range(100):
        journal.append([label(str(number))])
        sizes.add(next(folder.glob("*.seg")).stat().st_size)
    journal.close()
    return sizes


def test_few_commits_make_the_file_longer_and_its_end_is_cut_when_it_is_closed(tmp_path: Path) -> None:
    assert len(_sizes(tmp_path / "w1", 1 << 20)) == 1
    assert len(_sizes(tmp_path / "w2", 0)) == 100  # control
    for journal in ("w1", "w2"):
        (segment,) = (tmp_path / journal).glob("*.seg")
        assert SegmentReader(tmp_path).written(segment) == segment.stat().st_size
        assert names(everything(tmp_path, journal)) == [str(number) for number in range(100)]


class TornRead(FaultyDisk):
    """A disk on which a reader meets the writer: it gets the beginning of a file as it was a moment ago."""

    past: bytes = b""
    reads: int = 0

    def read(self, descriptor: int, offset: int, most: int | None = None) -> bytes:
        """Read, the first times in part what was there before."""
        now = super().read(descriptor, offset, most)
        if most is not None:
            return now
        self.reads -= 1
        return now if self.reads < 0 else self.past[offset:] + now[len(self.past) - offset :]


@pytest.mark.parametrize("reads", [1, 2])
def test_a_group_that_was_half_there_when_a_later_one_was_read_is_read_again(tmp_path: Path, reads: int) -> None:
    journal = SegmentJournal(tmp_path / "w1")
    before = journal.append([label("0")])
    (segment,) = (tmp_path / "w1").glob("*.seg")
    end = SegmentReader(tmp_path).written(segment)
    journal.append([label("1")])
    disk = TornRead()
    disk.past, disk.reads = segment.read_bytes()[:end] + bytes(60), reads
    for number in (2, 3):
        journal.append([label(str(number))])
    reader = SegmentReader(tmp_path, disk=disk)
    if reads == 1:
        assert names(reader.read("w1", after=before, most=9).observations) == ["1", "2", "3"]
    else:  # control: what stays so is damage
        with pytest.raises(IntegrityError, match="damaged although a whole one"):
            reader.read("w1", after=before, most=9)
    journal.close()


def test_the_bound_on_bytes_refuses_until_the_drainer_has_trimmed(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1", most_bytes=2000, segment_bytes=500)
    count = 0
    with pytest.raises(UnavailableError, match="of at most 2000 bytes"):
        while True:
            journal.append([label(str(count))])
            count += 1
    assert names(everything(tmp_path)) == [str(number) for number in range(count)]
    SegmentReader(tmp_path).trim("w1", upto=count)
    journal.append([label("again")])
    journal.close()


@pytest.mark.fault("D18")
def test_after_a_failed_sync_the_segment_and_its_numbers_are_never_used_again(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = SegmentJournal(tmp_path / "w1", disk=disk)
    journal.append([label("kept")])
    (segment,) = (tmp_path / "w1").glob("*.seg")
    disk.fails["sync"] = errno.EIO
    with pytest.raises(UnavailableError, match="count as not written"):
        journal.append([label("lost"), label("lost too")])
    with pytest.raises(UnavailableError):
        journal.append([label("no segment can be begun")])
    left = segment.read_bytes()
    disk.fails.clear()
    assert journal.append([label("new")]) > 3
    assert segment.read_bytes() == left
    assert names(everything(tmp_path)) == ["kept", "new"]
    journal.close()
    assert names(everything(tmp_path)) == ["kept", "new"]


@pytest.mark.fault("D18")
def test_control_a_journal_that_goes_on_in_that_segment_writes_to_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the leaving taken out, what is acknowledged next goes where nobody knows what is on the medium."""
    monkeypatch.setattr(SegmentJournal, "_leave", lambda _: None)
    disk = FaultyDisk()
    journal = SegmentJournal(tmp_path / "w1", disk=disk)
    journal.append([label("kept")])
    disk.fails["sync"] = errno.EIO
    with pytest.raises(UnavailableError):
        journal.append([label("lost")])
    (segment,) = (tmp_path / "w1").glob("*.seg")
    left = segment.read_bytes()
    disk.fails.clear()
    journal.append([label("new")])
    assert segment.read_bytes() != left
    journal.close()


def _lose_power(folder: Path, ends_at: int, *, lies: bool) -> tuple[list[str], dict[str, bytes]]:
    """Append until the power goes; return what was acknowledged and the files that survive."""
    disk = FaultyDisk(power_ends_at=ends_at, lies=lies)
    acknowledged: list[str] = []
    journal = None
    try:
        journal = SegmentJournal(folder, disk=disk, segment_bytes=900)
        for number in range(200):
            entries = [label(f"{number}-{part}") for part in range(1 + number % 5)]
            journal.append(entries)
            acknowledged += names(entries)
    except PowerLoss:
        pass
    survivors = disk.survivors(folder, random.Random(ends_at))
    disk.shut()
    if journal is not None:
        os.close(journal._lock)
    return acknowledged, dict(survivors)


def _lost(tmp_path: Path, ends_at: int, *, lies: bool) -> int:
    """Return how many acknowledged records are gone after power ended at an operation."""
    acknowledged, survivors = _lose_power(tmp_path / f"before-{ends_at}-{lies}" / "w1", ends_at, lies=lies)
    root = tmp_path / f"after-{ends_at}-{lies}"
    (root / "w1").mkdir(parents=True)
    for name, data in survivors.items():
        (root / "w1" / name).write_bytes(data)
    journal = SegmentJournal(root / "w1", segment_bytes=900)
    journal.append([label("afterwards")])
    journal.close()
    found = names(everything(root))
    assert found[-1] == "afterwards"
    assert len(set(found)) == len(found)
    kept = found[:-1]
    if not lies:
        assert kept[: len(acknowledged)] == acknowledged  # nothing lost, order kept; more may have reached the disk
    return len(set(acknowledged) - set(found))


@pytest.mark.fault("D9")
def test_what_was_acknowledged_survives_a_loss_of_power_at_every_point(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    points = [*range(1, 40), *random.Random(7).sample(range(40, 420), 40)]
    assert sum(_lost(tmp_path, point, lies=False) for point in points) == 0
    record_property("figure", f"journal: {len(points)} of {len(points)} losses of power")


@pytest.mark.fault("D9")
def test_control_acknowledging_without_a_sync_loses_records(tmp_path: Path) -> None:
    points = random.Random(7).sample(range(40, 420), 20)
    lost = 0
    for point in points:
        try:
            lost += _lost(tmp_path, point, lies=True)
        except IntegrityError:
            lost += 1
    assert lost > 0


def test_a_shadow_answer_completes_its_prediction_and_is_waited_for(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1", segment_bytes=300)
    journal.append([prediction("a", shadow_version="v2"), label("b")])
    journal.append([prediction("c", shadow_version="v2")])
    clock = [AT]
    reader = SegmentReader(tmp_path, now=lambda: clock[0])
    assert reader.read("w1", after=0, most=9).observations == ()
    journal.append([ShadowAnswer(prediction="a", answer=Answer(output=0, proba=(0.5, 0.5)))])
    batch = reader.read("w1", after=0, most=9)
    assert names(batch.observations) == ["a", "b"]
    assert batch.observations[0] == prediction("a", shadow_version="v2", shadow=Answer(output=0, proba=(0.5, 0.5)))
    clock[0] += timedelta(seconds=6)
    rest = reader.read("w1", after=batch.position, most=9)
    assert rest.observations == (prediction("c", shadow_version="v2", shadow_problem="lost"),)
    late = journal.append([ShadowAnswer(prediction="c", answer=None, problem="deadline")])
    last = reader.read("w1", after=rest.position, most=9)
    assert (last.observations, last.position) == ((), late)
    reader.trim("w1", upto=late)
    journal.close()


def test_the_frozen_sample_of_schema_1_is_read(tmp_path: Path) -> None:
    (tmp_path / "w1").mkdir()
    sample = Path(__file__).parent / "frozen" / "journal-schema-1.seg"
    (tmp_path / "w1" / sample.name).write_bytes(sample.read_bytes())
    assert everything(tmp_path) == [prediction("a"), label("b")]


def test_an_unknown_schema_is_refused(tmp_path: Path) -> None:
    sample = bytearray((Path(__file__).parent / "frozen" / "journal-schema-1.seg").read_bytes())
    sample[9] = 2
    (tmp_path / "w1").mkdir()
    (tmp_path / "w1" / "00000000000000000001.seg").write_bytes(sample)
    with pytest.raises(IntegrityError, match="header"):
        everything(tmp_path)


_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from anew.adapters.segment_journal import SegmentJournal
from anew.domain.observation import Label
at = datetime(2026, 1, 1, tzinfo=UTC)
journal, number = SegmentJournal(Path(sys.argv[1]), segment_bytes=20_000), 0
while True:
    name = f"{sys.argv[2]}-{number}"
    journal.append([Label(id=name, model="m", prediction="p", at=at, received_at=at, value=1)])
    sys.stdout.write(name + "\\n")
    sys.stdout.flush()
    number += 1
"""


@pytest.mark.system
@pytest.mark.fault("K8")
def test_kill_9_of_the_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    chance = random.Random(3)
    for life in range(6):
        command = [sys.executable, "-c", _WRITER, str(tmp_path / "w1"), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(chance.randint(50, 400))]
            writer.kill()
            acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    found = names(everything(tmp_path, most=100))
    assert len(set(found)) == len(found)
    assert set(acknowledged) <= set(found)
    assert len(found) - len(acknowledged) <= 6  # at most the one in flight at each kill


def _die_before_the_sync(folder: Path) -> FaultyDisk:
    """Leave a journal whose writer was killed when its second group was written and not yet synced."""
    disk = FaultyDisk()
    journal = SegmentJournal(folder, disk=disk)
    journal.append([label("synced")])
    disk.power_ends_at = disk.operations + 2
    with pytest.raises(PowerLoss):
        journal.append([label("written")])
    os.close(journal._lock)
    disk.power_ends_at = 0
    return disk


def _after_power_loss(folder: Path, disk: FaultyDisk, root: Path, seed: int) -> list[str]:
    """Return what is read after the power went and came back."""
    (root / "w1").mkdir(parents=True)
    for name, data in disk.survivors(folder, random.Random(seed)).items():
        (root / "w1" / name).write_bytes(data)
    return names(everything(root))


@pytest.mark.fault("D9")
def test_what_the_drainer_has_read_never_vanishes_with_the_power(tmp_path: Path) -> None:
    disk = _die_before_the_sync(tmp_path / "w1")
    lost = [_after_power_loss(tmp_path / "w1", disk, tmp_path / f"control-{i}", i) for i in range(10)]
    assert ["synced"] in lost  # control: nothing has read it yet, so it may go
    batch = SegmentReader(tmp_path, disk=disk).read("w1", after=0, most=9)
    assert names(batch.observations) == ["synced", "written"]
    disk.shut()
    for i in range(10):
        assert _after_power_loss(tmp_path / "w1", disk, tmp_path / f"after-{i}", i) == ["synced", "written"]


@pytest.mark.fault("D9")
def test_what_a_new_writer_found_is_made_durable_before_it_goes_on(tmp_path: Path) -> None:
    disk = _die_before_the_sync(tmp_path / "w1")
    journal = SegmentJournal(tmp_path / "w1", disk=disk)
    journal.append([label("new")])
    for i in range(10):
        assert _after_power_loss(tmp_path / "w1", disk, tmp_path / f"after-{i}", i) == ["synced", "written", "new"]
    disk.shut()
    os.close(journal._lock)


def _bodies() -> dict[str, bytes]:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  what no gateway writes
    good = encode_record(label("a"))
    late = msgspec.msgpack.encode(msgspec.to_builtins(label("a")) | {"at": "9999-12-31T23:59:00-14:00"})
    return {
        "unknown kind": b"\x09" + good[1:],
        "cut": good[:-3],
        "no head": good[:3],
        "other kind": b"\x00" + good[1:],
        "no msgpack": good[:5] + b"\xc1" * (len(good) - 5),
        "great epoch": encode_record(prediction("p", epoch=1 << 63)),
        "great latency": encode_record(prediction("p", latency_us=1 << 63)),
        "great revision": encode_record(replace(label("a"), revision=1 << 63)),
        "beyond all years": b"\x01" + struct.pack(">I", len(late)) + late,
        "naive at": encode_record(prediction("p", at=naive)),
        "naive received_at": encode_record(prediction("p", shadow_version="v2", received_at=naive)),
    }


@pytest.mark.parametrize("what", sorted(_bodies()))
def test_records_that_no_gateway_wrote_are_damage_however_whole_their_group(tmp_path: Path, what: str) -> None:
    header = Header(first=1, previous=0, salt=b"saltsalt")
    (tmp_path / "b.0").mkdir()
    records = [encode_record(label("good")), _bodies()[what]]
    (tmp_path / "b.0" / f"{1:020d}.seg").write_bytes(header.encode() + encode_group(header, 1, b"".join(records), 2))
    reader = SegmentReader(tmp_path)
    with pytest.raises(IntegrityError, match=r"journal b\.0: .*record 2 cannot be read"):
        reader.read("b.0", after=0, most=9)
    (tmp_path / "b.0" / f"{1:020d}.seg").write_bytes(header.encode() + encode_group(header, 1, records[0], 1))
    assert names(reader.read("b.0", after=0, most=9).observations) == ["good"], "control"


def test_numbers_that_no_journal_reaches_are_damage(tmp_path: Path) -> None:
    header = Header(first=1, previous=0, salt=b"saltsalt")
    (tmp_path / "b.0").mkdir()
    group = encode_group(header, (1 << 64) - 2, encode_record(label("a")), 1)
    (tmp_path / "b.0" / f"{1:020d}.seg").write_bytes(header.encode() + group)
    with pytest.raises(IntegrityError, match="no journal has so many"):
        SegmentReader(tmp_path).read("b.0", after=0, most=9)


def test_a_copy_that_no_gateway_wrote_does_not_keep_the_other_journals_waiting(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "w1")
    journal.append([label("mine")])
    journal.close()
    header = Header(first=1, previous=0, salt=b"saltsalt")
    (tmp_path / "b.0").mkdir()
    (tmp_path / "b.0" / f"{1:020d}.seg").write_bytes(header.encode() + encode_group(header, 1, b"\x09\0\0\0\0", 1))
    lake = MemoryLake(COLUMNS)
    with pytest.raises(IntegrityError, match=r"journal b\.0"):
        Drainer(SegmentReader(tmp_path), lake).drain_once()
    assert (lake.drained("b.0"), lake.drained("w1")) == (0, 1)


@pytest.mark.parametrize("text", ["", "2026-01-01T12:10:00", "\0\0\0", "soon", None])
def test_a_copy_whose_clock_cannot_be_read_was_never_heard(tmp_path: Path, text: str | None) -> None:
    journal = SegmentJournal(tmp_path / "b.0")
    journal.append([label("a"), prediction("p", shadow_version="v2")])
    journal.close()
    clock, reader = tmp_path / "b.0" / CLOCK, SegmentReader(tmp_path)
    if text is not None:
        clock.write_text(text)
    assert names(reader.read("b.0", after=0, most=9).observations) == ["a"]
    clock.write_text((AT + timedelta(seconds=6)).isoformat())
    assert names(reader.read("b.0", after=0, most=9).observations) == ["a", "p"], "control"


def test_a_shadow_answer_that_comes_while_a_copy_is_read_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, clock = SegmentJournal(tmp_path / "b.0"), tmp_path / "b.0" / CLOCK
    journal.append([prediction("p", shadow_version="v2")])
    clock.write_text(AT.isoformat())
    bytes_of = SegmentReader._bytes

    def meanwhile(reader: SegmentReader, *what: Any) -> bytes:
        data = bytes_of(reader, *what)
        if (tmp_path / "late").exists():
            return data
        (tmp_path / "late").touch()
        journal.append([ShadowAnswer(prediction="p", answer=Answer(output=0))])
        clock.write_text((AT + timedelta(minutes=10)).isoformat())
        return data

    monkeypatch.setattr(SegmentReader, "_bytes", meanwhile)
    reader = SegmentReader(tmp_path)
    assert reader.read("b.0", after=0, most=9).observations == ()
    (found,) = reader.read("b.0", after=0, most=9).observations
    assert found == prediction("p", shadow_version="v2", shadow=Answer(output=0))
    journal.close()


def _drained_and_cut(root: Path, lost: str) -> MemoryLake:
    """Have a journal stored, and then lose its end; return the lake, which has it all."""
    lake, journal = MemoryLake(COLUMNS), SegmentJournal(root / "w1", segment_bytes=600)
    for i in range(18):
        journal.append([label(f"before{i}")])
    journal.close()
    Drainer(SegmentReader(root), lake).drain_once()
    found = sorted((root / "w1").glob("*.seg"))
    for path in found if lost == "all" else found[-1:]:
        path.unlink() if lost != "end" else os.truncate(path, path.stat().st_size - 100)
    return lake


@pytest.mark.parametrize("lost", ["end", "newest", "all"])
def test_a_journal_that_ends_before_what_is_stored_goes_on_behind_it(tmp_path: Path, lost: str) -> None:
    lake = _drained_and_cut(tmp_path, lost)
    drainer = Drainer(SegmentReader(tmp_path), lake)
    if lost != "all":
        with pytest.raises(IntegrityError, match=r"its end was lost.*; put back a copy of its newest segment, or"):
            drainer.drain_once()
    for turn in range(3):
        journal = SegmentJournal(tmp_path / "w1", segment_bytes=600, stored=lake.drained("w1"))
        assert drainer.drain_once().stored == 0, "there is nothing to complain of any more"
        journal.append([label(f"after{turn}")])
        journal.close()
        assert drainer.drain_once().stored == 1
    assert lake.counts()["labels"] == 21


def test_a_journal_that_lost_its_end_while_the_disk_is_full_goes_on_behind_what_is_stored_later(
    tmp_path: Path,
) -> None:
    class Full(FaultyDisk):
        full = True

        def create(self, path: Path) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().create(path)

    lake, disk = _drained_and_cut(tmp_path, "end"), Full()
    journal = SegmentJournal(tmp_path / "w1", stored=lake.drained("w1"), disk=disk)
    with pytest.raises(UnavailableError, match="No space left"):
        journal.append([label("refused")])
    disk.full = False
    journal.append([label("after")])
    journal.close()
    assert Drainer(SegmentReader(tmp_path), lake).drain_once().stored == 1


def test_control_numbers_that_the_segments_alone_give_are_lost(tmp_path: Path) -> None:
    lake = _drained_and_cut(tmp_path, "end")
    journal = SegmentJournal(tmp_path / "w1")
    for i in range(5):
        journal.append([label(f"after{i}")])
    journal.close()
    assert Drainer(SegmentReader(tmp_path), lake).drain_once().stored < 5
