"""Journals of other hosts, through a real S3 protocol: whatever is interrupted or repeated, each record comes once."""

import errno
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from anew.adapters import journal_shipping
from anew.adapters.journal_shipping import JournalReceiver, JournalShipper, shipped_upto
from anew.adapters.local_disk import LocalDisk
from anew.adapters.replica_bucket import Chunk, ProjectWord, ReplicaBucket, Said, Word
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.segment_journal import SegmentJournal, SegmentReader
from anew.adapters.segment_reader import CLOCK, NEVER
from anew.adapters.signing import Signer
from anew.domain.errors import ConflictError, IntegrityError, UnavailableError
from anew.domain.observation import ShadowAnswer
from anew.ports.traffic import WorkerStatus
from anew.testing.contract_lake import prediction
from tests.s3_server import S3Server

HOST = "b"


@dataclass
class Two:
    """A host and a project, each with a disk of its own, and a bucket between."""

    place: ReplicaBucket
    host: Path
    project: Path
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    shipper: JournalShipper = field(init=False)
    receiver: JournalReceiver = field(init=False)

    def __post_init__(self) -> None:
        self.shipper, self.receiver = self.restarted()

    def restarted(self) -> tuple[JournalShipper, JournalReceiver]:
        """Return what both are after each was started again."""
        theirs = ReplicaBucket(self.place.bucket, self.place.verifier)
        return JournalShipper(theirs, HOST, self.host), JournalReceiver(self.place, self.project, self.now)

    def now(self) -> datetime:
        """Return a later instant each time."""
        self.at += timedelta(seconds=1)
        return self.at

    def write(self, first: int, count: int, segment_bytes: int = 16 << 20) -> None:
        """Acknowledge so many predictions on the host."""
        journal = SegmentJournal(self.host / "0", segment_bytes=segment_bytes)
        for i in range(first, first + count):
            journal.append([prediction(i)])
        journal.close()

    def receive(self, whole: datetime | None = None) -> None:
        """Let the project take over what lies there."""
        more = True
        while more:
            _, chunks = self.place.look()
            more = self.receiver.turn(HOST, chunks, heard=self.shipper.heard, whole=whole or datetime.now(UTC))

    def turn(self) -> None:
        """Let each do its part."""
        self.shipper.turn()
        self.receive()

    def stored(self, after: int = 0) -> list[str]:
        """Return the ids that the project's drainer would read."""
        reader = SegmentReader(self.project)
        found: list[str] = []
        for journal in reader.journals():
            position = after
            while (batch := reader.read(journal, after=position, most=7)).position > position:
                found += [each.id for each in batch.observations if hasattr(each, "id")]
                position = batch.position
        return found


def ids(first: int, count: int) -> list[str]:
    return [prediction(i).id for i in range(first, first + count)]


@pytest.fixture
def two(s3: S3Server, tmp_path: Path) -> Two:
    signer = Signer.load_or_create(tmp_path / "keys")
    place = ReplicaBucket(S3Bucket(f"{s3.bucket()}/fraud"), signer.verifier, signer)
    assert place.own(HOST, "its folder")
    made = Two(place, tmp_path / "host", tmp_path / "project")
    made.turn()  # the project says that it has nothing, and the host hears it
    made.shipper.turn()
    return made


@pytest.mark.fault("O6")
def test_each_record_comes_once_however_often_both_begin_again(two: Two) -> None:
    two.write(0, 5)
    two.shipper.turn()
    two.shipper, two.receiver = two.restarted()
    two.write(5, 5, segment_bytes=300)
    two.turn()
    two.write(10, 30, segment_bytes=300)
    two.shipper.turn()
    two.shipper, _ = two.restarted()
    two.turn()
    two.receive()
    assert two.stored() == ids(0, 40)
    assert two.place.look()[1] == (), "what was taken over lies there no longer"


def test_a_copy_cut_short_and_a_chunk_sent_twice_change_nothing(two: Two) -> None:
    two.write(0, 6)
    two.turn()
    (copy,) = (two.project / f"{HOST}.0").glob("*.seg")
    whole = copy.read_bytes()
    two.write(6, 6)
    two.shipper.turn()
    _, chunks = two.place.look()
    data = [two.place.shipment(each) for each in chunks]
    two.receive()
    after = copy.read_bytes()
    copy.write_bytes(after[: len(whole) + 10])  # killed in the middle of writing, before it said so
    for chunk, each in zip(chunks, data, strict=True):
        assert two.place.ship(chunk, each or b"")
    _, two.receiver = two.restarted()
    two.receive()
    assert two.stored() == ids(0, 12)


def test_a_project_restored_from_a_backup_is_sent_what_it_lacks(two: Two) -> None:
    two.write(0, 10, segment_bytes=300)
    two.turn()
    backup = {path: path.read_bytes() for path in two.project.rglob("*") if path.is_file()}
    two.write(10, 10, segment_bytes=300)
    two.turn()
    two.shipper.turn()
    for path in list(two.project.rglob("*")):
        if path.is_file() and path not in backup:
            path.unlink()
    for path, content in backup.items():
        path.write_bytes(content)
    _, two.receiver = two.restarted()
    two.receive()  # says how far it has come
    two.turn()
    assert two.stored() == ids(0, 20)


def test_a_new_project_folder_begins_at_the_beginning(two: Two, tmp_path: Path) -> None:
    two.write(0, 12, segment_bytes=300)
    two.turn()
    two.write(12, 3)
    two.shipper.turn()  # lies there: the middle of a journal, for whoever knows nothing of it
    two.project = tmp_path / "elsewhere"
    two.shipper, two.receiver = two.restarted()
    two.receive()
    assert two.stored() == []
    two.turn()
    assert two.stored() == ids(0, 15)


def test_the_host_trims_what_the_project_has_let_go_and_nothing_else(two: Two) -> None:
    two.write(0, 30, segment_bytes=300)
    two.turn()
    before = len(list((two.host / "0").glob("*.seg")))
    two.turn()
    assert len(list((two.host / "0").glob("*.seg"))) == before
    SegmentReader(two.project).trim(f"{HOST}.0", upto=20)
    two.write(30, 1)
    two.turn()
    two.shipper.turn()
    left = len(list((two.host / "0").glob("*.seg")))
    assert 0 < left < before
    assert left >= len(list((two.project / f"{HOST}.0").glob("*.seg")))
    assert two.stored(after=20)[-1:] == ids(30, 1)


def test_a_shadow_answer_behind_a_cut_is_waited_for(two: Two) -> None:
    asked = datetime.now(UTC) - timedelta(minutes=10)
    open_one = replace(prediction(0), shadow_version="v2", received_at=asked)
    journal = SegmentJournal(two.host / "0")
    journal.append([open_one])
    two.shipper.turn()
    two.receive(whole=asked + timedelta(seconds=1))
    assert two.stored() == [], "its answer may be on its way, however long ago it was asked"
    journal.append([ShadowAnswer(prediction=open_one.id, answer=open_one.answer)])
    journal.close()
    two.turn()
    reader = SegmentReader(two.project)
    (found,) = reader.read(f"{HOST}.0", after=0, most=9).observations
    assert found == replace(open_one, shadow=open_one.answer)


def test_a_bucket_that_has_lost_everything_gets_it_again_and_the_name_with_it(two: Two) -> None:
    two.write(0, 5)
    two.shipper.turn()
    two.receive()
    two.write(5, 5)
    two.shipper.turn()
    for name in two.place.bucket.tree("hosts"):
        two.place.bucket.remove(name)
    two.place.own(HOST, "folder")
    two.write(10, 5)
    for _ in range(3):
        two.shipper.turn()
        two.receive()
    assert two.place.begun(HOST) != ""
    assert two.stored() == ids(0, 15)


def test_of_two_copies_that_find_the_name_lost_one_goes_on(two: Two, tmp_path: Path) -> None:
    copied = Two(two.place, tmp_path / "copied", two.project)
    two.shipper.turn()
    copied.shipper.turn()
    two.place.bucket.remove(f"hosts/{HOST}/run")
    copied.shipper.turn()
    with pytest.raises(ConflictError, match="was started again elsewhere"):
        two.shipper.turn()


@pytest.mark.fault("D14")
def test_two_hosts_of_one_name_are_found(two: Two, tmp_path: Path) -> None:
    assert not two.place.own(HOST, "another folder")
    two.write(0, 5)
    copied = Two(two.place, tmp_path / "copied", two.project)
    copied.write(100, 5)  # with the same name, and the same numbers
    two.shipper.turn()
    with pytest.raises(ConflictError, match="a copy of this folder is in use on another host"):
        copied.shipper.turn()
    with pytest.raises(ConflictError, match="was started again elsewhere"):
        two.shipper.turn()  # of two that live at once, the one begun last goes on
    two.receive()
    assert two.stored() == ids(0, 5)


@pytest.mark.fault("D14")
def test_control_two_hosts_of_one_name_that_overwrite_lose_rows(
    two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overwrite(place: ReplicaBucket, chunk: Chunk, data: bytes) -> bool:
        place.bucket.put(chunk.name, data)
        return True

    monkeypatch.setattr(ReplicaBucket, "ship", overwrite)
    two.write(0, 5)
    copied = Two(two.place, tmp_path / "copied", two.project)
    copied.write(100, 5)
    two.shipper.turn()
    monkeypatch.setattr(JournalShipper, "_resumed", lambda *_: (0, 0))
    copied.shipper.turn()
    two.receive()
    assert two.stored() == ids(100, 5)


@pytest.mark.fault("O6")
def test_control_a_shipment_that_is_lost_on_the_way_is_not_passed_over(two: Two) -> None:
    two.write(0, 5)
    two.turn()
    two.write(5, 5)
    two.shipper.turn()
    for chunk in two.place.look()[1]:
        two.place.remove(chunk)
    two.write(10, 5, segment_bytes=1)
    two.shipper.turn()
    two.receive()
    assert two.stored() == ids(0, 5), "nothing behind a gap is taken for what follows it"
    two.shipper, _ = two.restarted()
    two.turn()
    two.receive()
    assert two.stored() == ids(0, 15)


def test_only_what_the_project_signed_is_believed(two: Two, tmp_path: Path) -> None:
    stranger = Signer.load_or_create(tmp_path / "stranger")
    forged = ReplicaBucket(two.place.bucket, stranger.verifier, stranger)
    forged.put_word(Word(host=HOST, at=two.now(), journals={}))
    with pytest.raises(IntegrityError, match="nothing that this project signed"):
        two.shipper.turn()
    forged.put_project(ProjectWord(serial=1, model="m", artifacts="s3://b/k", files={}))
    with pytest.raises(IntegrityError, match="nothing that this project signed"):
        two.place.project()
    two.place.put_word(Word(host="other", at=two.now(), journals={}))
    two.place.bucket.put(f"hosts/{HOST}/word", two.place.bucket.read("hosts/other/word") or b"")
    with pytest.raises(IntegrityError, match="was said to other"):
        two.shipper.turn()
    two.place.bucket.put("project", two.place.bucket.read("hosts/other/word") or b"")
    with pytest.raises(IntegrityError, match="nothing that this project signed"):
        two.place.project()


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "-a", "a" * 64, "a.b"])
def test_a_name_that_leads_elsewhere_is_none(two: Two, name: str) -> None:
    with pytest.raises(IntegrityError, match="names no host"):
        two.place.own(name, "folder")
    for each in (f"hosts/{name}/journal/0/{1:020d}-{0:012d}", f"hosts/b/journal/{name}/x"):
        if name:
            two.place.bucket.put(each.replace("..", "%2e%2e"), b"x")
    assert [[*each] for each in two.place.look()] == [[HOST], []]


def test_a_long_journal_is_shipped_in_pieces(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_shipping, "_CHUNK_BYTES", 500)
    two.write(0, 20)
    two.shipper.turn()
    assert len(two.place.look()[1]) > 3
    two.receive()
    assert two.stored() == ids(0, 20)


class TornRead(LocalDisk):
    """A disk on which the shipper meets the writer: it gets the beginning of a file as it was a moment ago."""

    past: bytes = b""
    reads: int = 0

    def read(self, descriptor: int, offset: int, most: int | None = None) -> bytes:
        """Read, the first times in part what was there before."""
        now = super().read(descriptor, offset, most)
        if most is not None:
            return now
        self.reads -= 1
        return now if self.reads < 0 else self.past[offset:] + now[max(len(self.past) - offset, 0) :]


@pytest.mark.parametrize("reads", [1, 4])
def test_what_the_host_is_writing_comes_whole_though_a_group_was_half_there_when_it_was_read(
    two: Two, reads: int
) -> None:
    journal = SegmentJournal(two.host / "0")
    journal.append([prediction(0)])
    (segment,) = (two.host / "0").glob("*.seg")
    disk = TornRead()
    disk.past, disk.reads = segment.read_bytes().rstrip(b"\0") + bytes(60), reads
    for i in range(1, 4):
        journal.append([prediction(i)])
    two.shipper.disk = disk
    if reads == 1:
        two.turn()
        assert two.stored() == ids(0, 4)
    else:  # control: what stays so is damage
        with pytest.raises(IntegrityError, match="damaged although a whole one"):
            two.shipper.turn()
    journal.close()


@pytest.mark.parametrize("what", ["at", "heard", "worker"])
def test_a_host_that_says_no_instant_is_not_believed(two: Two, what: str) -> None:
    naive, aware = datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)  # noqa: DTZ001  what no host says
    worker = WorkerStatus(model="m", worker="0", pid=1, started=1, port=1, at=aware, epoch=1)
    good = Said(at=aware, heard=aware, workers=(worker,))
    bad = {
        "at": msgspec.structs.replace(good, at=naive),
        "heard": msgspec.structs.replace(good, heard=naive),
        "worker": msgspec.structs.replace(good, workers=(replace(worker, at=naive),)),
    }
    two.place.put_said(HOST, bad[what])
    with pytest.raises(IntegrityError, match="what b says in"):
        two.place.said(HOST)
    two.place.put_said(HOST, good)
    assert two.place.said(HOST) == good, "control"


def test_the_clock_of_a_copy_is_on_the_medium_before_it_bears_its_name(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.write(0, 1)
    two.shipper.turn()
    synced: list[int] = []
    fsync, rename = os.fsync, Path.replace

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def checked(draft: Path, target: Path) -> Path:
        assert target.name != CLOCK or draft.stat().st_ino in synced
        return rename(draft, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", checked)
    two.receive()
    assert (two.project / f"{HOST}.0" / CLOCK).read_text()


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("left", [0, 48, 200, 900])
def test_a_copy_that_lost_power_with_zeros_behind_it_is_sent_what_it_lacks(two: Two, left: int, there: bool) -> None:
    two.write(0, 5)
    two.shipper.turn()
    _, chunks = two.place.look()
    data = [two.place.shipment(each) or b"" for each in chunks]
    two.receive()
    two.shipper.turn()
    (copy,) = (two.project / f"{HOST}.0").glob("*.seg")
    whole = copy.read_bytes()
    assert left < len(whole)
    copy.write_bytes(whole[:left] + bytes(len(whole) - left))  # its length was on the medium before its bytes were
    if there:
        assert all(two.place.ship(chunk, each) for chunk, each in zip(chunks, data, strict=True))
    _, two.receiver = two.restarted()
    two.receive()
    two.turn()
    two.turn()
    assert copy.read_bytes() == whole
    assert two.stored() == ids(0, 5)


def test_a_copy_that_is_whole_or_damaged_before_a_whole_group_is_not_cut(two: Two) -> None:
    two.write(0, 5)
    two.turn()
    (copy,) = (two.project / f"{HOST}.0").glob("*.seg")
    whole = copy.read_bytes()
    damaged = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    for content in (whole, damaged):
        copy.write_bytes(content)
        _, two.receiver = two.restarted()
        two.receive()
        assert copy.read_bytes() == content


def test_a_copy_is_whole_when_the_last_of_many_chunks_has_come(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_shipping, "_CHUNK_BYTES", 500)
    monkeypatch.setattr(journal_shipping, "_MOST_CHUNKS", 3)
    two.write(0, 20)
    two.shipper.turn()
    clock, whole, turns = two.project / f"{HOST}.0" / CLOCK, two.at, 0
    while True:
        _, chunks = two.place.look()
        more = two.receiver.turn(HOST, chunks, heard=two.shipper.heard, whole=whole)
        turns += 1
        assert datetime.fromisoformat(clock.read_text()) == (NEVER if more else whole)
        if not more:
            break
        assert len(two.place.look()[1]) == len(chunks) - 3
    assert turns > 2
    assert two.stored() == ids(0, 20)


def test_the_clock_of_a_copy_stands_where_a_chunk_could_not_be_taken_over(two: Two) -> None:
    two.write(0, 5)
    two.turn()
    clock = two.project / f"{HOST}.0" / CLOCK
    before = clock.read_text()
    two.write(5, 1)
    two.shipper.turn()
    (chunk,) = two.place.look()[1]
    data = two.place.shipment(chunk) or b""
    two.place.bucket.put(replace(chunk, offset=chunk.offset + 1).name, data)
    two.place.remove(chunk)
    two.receive()
    assert clock.read_text() == before
    two.place.remove(replace(chunk, offset=chunk.offset + 1))
    two.place.ship(chunk, data)
    two.receive()
    assert clock.read_text() > before, "control"
    assert two.stored() == ids(0, 6)


@pytest.mark.parametrize("back", [False, True])
def test_a_host_whose_journal_lost_what_it_had_shipped_gives_no_number_twice(
    two: Two, back: bool, caplog: pytest.LogCaptureFixture
) -> None:
    two.write(0, 8)
    two.turn()
    folder = two.host / "0"
    (segment,) = folder.glob("*.seg")
    os.truncate(segment, segment.stat().st_size - 100)
    if back:  # the whole folder was put back to an older state, with what it knew of it
        (folder / "shipped").unlink()
    assert shipped_upto(folder) == (0 if back else 8)
    journal = SegmentJournal(folder, stored=shipped_upto(folder))
    for i in range(8, 12):
        journal.append([prediction(i)])
    journal.close()
    two.shipper, two.receiver = two.restarted()
    two.turn()
    if back:
        assert two.stored() == ids(0, 8)
        assert "was put back to an older state" in caplog.text
        assert len(two.place.look()[1]) == 1, "what was acknowledged since waits to be looked at"
    else:
        assert two.stored() == ids(0, 12)


class Full(LocalDisk):
    """Has no room for a new segment twice, and after that for no group."""

    begun = 0

    def write(self, descriptor: int, data: bytes, at: int) -> int:
        """Write what there is room for."""
        self.begun += 1
        if self.begun <= 2 or len(data) > 200:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(descriptor, data, at)


def test_numbers_that_a_full_disk_had_skipped_are_none_that_were_shipped(two: Two) -> None:
    two.write(0, 8)
    two.turn()
    journal = SegmentJournal(two.host / "0", disk=Full())
    for i in range(4):
        with pytest.raises(UnavailableError):
            journal.append([prediction(8 + i)])
    journal.close()
    two.turn()
    assert shipped_upto(two.host / "0") == 8
    journal = SegmentJournal(two.host / "0", stored=shipped_upto(two.host / "0"))
    for i in range(8, 12):
        journal.append([prediction(i)])
    journal.close()
    two.shipper, two.receiver = two.restarted()
    two.turn()
    assert two.stored() == ids(0, 12)
