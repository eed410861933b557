"""What the loop hears of several hosts: one that cannot be heard keeps no other waiting, and many rows keep no word."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from anew.adapters import journal_shipping
from anew.adapters.journal_shipping import JournalReceiver, JournalShipper
from anew.adapters.replica_bucket import Chunk, ReplicaBucket, Said
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.segment_journal import SegmentJournal, SegmentReader
from anew.adapters.signing import Signer
from anew.app.replica_loop import Replicas
from anew.app.settings import load
from anew.domain.errors import IntegrityError
from anew.ports.traffic import WorkerStatus
from anew.testing.contract_lake import prediction
from tests.app.small_project import YAML, write_project
from tests.s3_server import S3Server


@dataclass
class Bed:
    """A project that hears, and hosts that speak by their names."""

    folder: Path
    state: Path
    place: ReplicaBucket
    replicas: Replicas
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def shipper(self, host: str) -> JournalShipper:
        """Return the shipper of a host that the project has heard and that has heard it."""
        self.place.own(host, host)
        made = JournalShipper(self.place, host, self.folder / host)
        made.turn()
        self.say(host, None)
        self.replicas.hear()
        made.turn()
        return made

    def say(self, host: str, heard: datetime | None, epoch: int = 1) -> None:
        """Say of its one worker that it lives."""
        status = WorkerStatus(model="small", worker="0", pid=1, started=1, port=1, at=self.at, epoch=epoch)
        self.place.put_said(host, Said(at=self.at, heard=heard, workers=(status,)))

    def reported(self, host: str) -> bytes:
        """Return what is put down of its worker."""
        (file,) = (self.state / "workers").glob(f"*{host}.0*.json")
        return file.read_bytes()


@pytest.fixture
def bed(s3: S3Server, tmp_path: Path) -> Bed:
    url = s3.bucket()
    stores = f"stores: {{artifacts: '{url}/kept', replicas: '{url}/small'}}\n"
    settings = load(write_project(tmp_path / "project", YAML + stores))
    signer = Signer.load_or_create(settings.state / "keys")
    place = ReplicaBucket(S3Bucket(f"{url}/small"), signer.verifier, signer)
    return Bed(tmp_path, settings.state, place, Replicas(settings, signer))


def _write(folder: Path, count: int) -> None:
    journal = SegmentJournal(folder / "0")
    for i in range(count):
        journal.append([prediction(i)])
    journal.close()


def _stored(bed: Bed, host: str) -> int:
    reader = SegmentReader(bed.state / "journal")
    return len(reader.read(f"{host}.0", after=0, most=99).observations)


def test_a_host_that_cannot_be_heard_keeps_no_other_waiting(bed: Bed) -> None:
    shipper = bed.shipper("b")
    _write(bed.folder / "b", 5)
    shipper.turn()
    bed.say("b", shipper.heard, epoch=2)
    bed.place.own("a", "a")
    bed.place.bucket.put("hosts/a/said", b"\xc1")
    with pytest.raises(IntegrityError, match="what a says"):
        bed.replicas.hear()
    assert b'"epoch":2' in bed.reported("b")
    assert _stored(bed, "b") == 5


def test_what_workers_say_is_put_down_before_what_they_answered_is_taken_over(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_shipping, "_CHUNK_BYTES", 500)
    monkeypatch.setattr(journal_shipping, "_MOST_CHUNKS", 2)
    first, second = bed.shipper("b"), bed.shipper("c")
    for host, shipper in (("b", first), ("c", second)):
        _write(bed.folder / host, 12)
        shipper.turn()
        bed.say(host, shipper.heard, epoch=2)
    turn, turns = JournalReceiver.turn, 0

    def watched(receiver: JournalReceiver, host: str, chunks: tuple[Chunk, ...], **more: Any) -> bool:
        nonlocal turns
        turns += 1
        assert b'"epoch":2' in bed.reported("b")
        assert b'"epoch":2' in bed.reported("c")
        return turn(receiver, host, chunks, **more)

    monkeypatch.setattr(JournalReceiver, "turn", watched)
    bed.replicas.hear()
    assert turns > 4, "some of each at a time"
    assert (_stored(bed, "b"), _stored(bed, "c")) == (12, 12)


def test_a_word_that_is_repeated_keeps_no_worker_alive(bed: Bed) -> None:
    bed.shipper("b")
    (file,) = (bed.state / "workers").glob("*b.0*.json")
    before = file.stat().st_mtime_ns
    bed.replicas.hear()
    assert file.stat().st_mtime_ns == before
    bed.say("b", None, epoch=2)
    bed.replicas.hear()
    assert file.stat().st_mtime_ns > before, "control"


def test_a_host_that_says_nothing_new_is_not_asked_however_many_there_are(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(20):
        bed.place.own(f"gone{i}", f"gone{i}")
        bed.say(f"gone{i}", None)
    bed.replicas.hear()
    asked: list[str] = []
    said = ReplicaBucket.said

    def watched(place: ReplicaBucket, host: str) -> Said | None:
        asked.append(host)
        return said(place, host)

    monkeypatch.setattr(ReplicaBucket, "said", watched)
    bed.replicas.hear()
    assert asked == []
    bed.say("gone7", None, epoch=2)
    bed.replicas.hear()
    assert asked == ["gone7"]
    assert b'"epoch":2' in bed.reported("gone7")


def test_where_a_store_gives_no_tags_every_host_is_asked_each_time(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.shipper("b")
    tree = S3Bucket.tree
    monkeypatch.setattr(S3Bucket, "tree", lambda bucket, under: dict.fromkeys(tree(bucket, under), ""))
    for epoch in (2, 3):
        bed.say("b", None, epoch=epoch)
        bed.replicas.hear()
        assert f'"epoch":{epoch}'.encode() in bed.reported("b")
