"""Routing files: signed, durable, never backwards; and who of the workers is alive."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.process_table import process_started
from anew.adapters.signing import Signer
from anew.app.status import living_workers
from anew.domain.errors import IntegrityError, NotFoundError, PolicyError, UnavailableError
from anew.domain.facts.rollout import Order, Stage, TrafficOrdered, TrafficShifted
from anew.domain.order import ordered
from anew.ports.traffic import VersionHealth, WorkerStatus
from anew.testing.faulty_disk import FaultyDisk, PowerLoss

AT = datetime(2026, 1, 1, tzinfo=UTC)


def routing(epoch: int, **changes: object) -> TrafficShifted:
    order = TrafficShifted(
        model="fraud",
        at=AT,
        id="i",
        cause="c",
        epoch=epoch,
        stage=Stage.CANARY,
        share=0.1,
        champion=("v1", "a" * 64),
        challenger=("v2", "b" * 64),
        fallback=("v0", "c" * 64),
    )
    return replace(order, **changes)  # type: ignore[arg-type] # fields by name, for brevity


def traffic(state: Path, disk: FaultyDisk | None = None) -> FileTraffic:
    signer = Signer.load_or_create(state / "keys")
    made = FileTraffic(state, signer.verifier, signer)
    if disk is not None:
        made.disk = disk
    return made


def status(worker: str, pid: int, epoch: int) -> WorkerStatus:
    return WorkerStatus(
        model="fraud",
        worker=worker,
        pid=pid,
        started=process_started(pid) or 0,
        port=1,
        at=AT,
        epoch=epoch,
        challenger=VersionHealth(version="v2", asked=3, failed={"deadline": 1}, latency=(0, 2), tripped="x"),
        counts={"predictions": 7},
    )


def test_what_is_published_is_what_is_read(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    assert ours.published("fraud") is None
    ours.publish(routing(1))
    assert ours.published("fraud") == routing(1)
    assert FileTraffic(tmp_path, ours.verifier).published("fraud") == routing(1)
    ours.publish(routing(2, stage=Stage.STEADY, challenger=("", ""), share=0))
    assert ours.published("fraud") == routing(2, stage=Stage.STEADY, challenger=("", ""), share=0)


def test_an_epoch_not_above_the_published_one_changes_nothing(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    ours.publish(routing(5))
    ours.publish(routing(4))
    ours.publish(routing(5, share=0.9))
    assert ours.published("fraud") == routing(5)


def ordering(action: Order, command: str = "c") -> Callable[[TrafficShifted], TrafficOrdered]:
    return lambda found: ordered(found, action, command=command, by="ada", reason="now")


def test_an_order_takes_the_place_of_the_routing_and_is_kept_for_the_record(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    ours.publish(routing(7))
    assert ours.ordered("fraud") == ()
    held = ours.order("fraud", ordering(Order.HOLD))
    back = ours.order("fraud", ordering(Order.ROLLBACK, "d"))
    assert (held.epoch, back.epoch) == (1000, 2000)
    reader = FileTraffic(tmp_path, ours.verifier)
    assert reader.ordered("fraud") == (held, back)
    found = reader.published("fraud")
    assert found is not None
    assert (found.epoch, found.champion, found.challenger) == (2000, ("v1", "a" * 64), ("", ""))
    ours.publish(routing(1999))
    assert reader.ordered("fraud") == (held, back), "what the loop decided meanwhile comes too late"
    ours.publish(routing(2001))
    assert reader.ordered("fraud") == ()


def test_an_order_needs_something_that_was_published_and_the_key(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    with pytest.raises(NotFoundError):
        ours.order("fraud", ordering(Order.HOLD))
    ours.publish(routing(1))
    with pytest.raises(PolicyError):
        FileTraffic(tmp_path, ours.verifier).order("fraud", ordering(Order.HOLD))


def test_an_order_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    ours.publish(routing(1, stage=Stage.STEADY, challenger=("", ""), share=0))
    with pytest.raises(PolicyError):
        ours.order("fraud", ordering(Order.HOLD))
    assert ours.published("fraud") == routing(1, stage=Stage.STEADY, challenger=("", ""), share=0)


def test_of_many_orders_at_once_none_is_lost(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    ours.publish(routing(1))
    threads = [
        threading.Thread(target=lambda n=n: traffic(tmp_path).order("fraud", ordering(Order.HOLD, f"c{n}")))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.command for each in ours.ordered("fraud")} == {f"c{n}" for n in range(20)}
    assert [each.epoch for each in ours.ordered("fraud")] == [1000 * (n + 1) for n in range(20)]


def test_routing_of_before_there_were_orders_is_read(tmp_path: Path) -> None:
    ours, path = traffic(tmp_path), tmp_path / "routing" / "fraud.json"
    ours.publish(routing(1))
    body = json.loads(path.read_bytes())["routing"]
    body.pop("orders")
    text = json.dumps(body).encode()
    assert ours.signer is not None
    signature = ours.signer.sign(b"anew.routing/1\n" + text)
    path.write_bytes(b'{"schema":1,"routing":%s,"signature":"%s"}' % (text, signature.encode()))
    assert traffic(tmp_path).published("fraud") == routing(1)


def test_of_many_publishers_the_greatest_epoch_stays(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    epochs = random.Random(1).sample(range(1, 41), 40)
    threads = [threading.Thread(target=lambda e=e: traffic(tmp_path).publish(routing(e))) for e in epochs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ours.published("fraud") == routing(40)
    assert [p.name for p in (tmp_path / "routing").iterdir() if p.suffix not in (".json", ".lock")] == []


def test_altered_foreign_misplaced_and_unreadable_routing_is_refused(tmp_path: Path) -> None:
    ours, path = traffic(tmp_path), tmp_path / "routing" / "fraud.json"
    ours.publish(routing(1))
    good = path.read_bytes()
    for bad in (
        good.replace(b'"share":0.1', b'"share":0.9'),
        good[:-5],
        b"",
        b"\xff",
        good.replace(b'"epoch":1', b'"epoch":9'),
    ):
        path.write_bytes(bad)
        with pytest.raises(IntegrityError, match="not a routing that this project signed"):
            ours.published("fraud")
    path.write_bytes(good)
    (tmp_path / "routing" / "spam.json").write_bytes(good)
    with pytest.raises(IntegrityError, match="routes fraud, not spam"):
        ours.published("spam")
    stranger = FileTraffic(tmp_path, Signer.load_or_create(tmp_path / "other").verifier)
    with pytest.raises(IntegrityError, match="another key"):
        stranger.published("fraud")
    with pytest.raises(PolicyError):
        stranger.publish(routing(2))
    assert ours.published("fraud") == routing(1)


@pytest.mark.fault("P1")
def test_a_loss_of_power_while_publishing_leaves_the_old_or_the_new_order(tmp_path: Path) -> None:
    for point in range(1, 12):
        folder = tmp_path / str(point)
        first = FaultyDisk()
        traffic(folder, first).publish(routing(1))
        first.power_ends_at = first.operations + point
        returned = False
        try:
            traffic(folder, first).publish(routing(2))
            returned = True
        except PowerLoss:
            pass
        for seed in range(4):
            survivors = first.survivors(folder / "routing", random.Random(seed))
            after = tmp_path / f"{point}-{seed}"
            (after / "routing").mkdir(parents=True)
            for name, data in survivors.items():
                (after / "routing" / name).write_bytes(data)
            read = FileTraffic(after, Signer.load_or_create(folder / "keys").verifier).published("fraud")
            assert read == routing(2) or (read == routing(1) and not returned)


class Unsynced(FileTraffic):
    """Takes for granted that what was written is on disk."""

    def _write(self, path: Path, data: bytes, *, durable: bool) -> None:  # noqa: ARG002  that is what is wrong with it
        super()._write(path, data, durable=False)


@pytest.mark.fault("P1")
def test_control_without_a_sync_an_order_that_was_in_force_is_gone_after_a_loss_of_power(tmp_path: Path) -> None:
    signer = Signer.load_or_create(tmp_path / "keys")
    disk = FaultyDisk()
    ours = Unsynced(tmp_path, signer.verifier, signer, disk)
    ours.publish(routing(1))
    ours.publish(routing(2))
    left = [disk.survivors(tmp_path / "routing", random.Random(seed)).get("fraud.json", b"") for seed in range(20)]
    assert any(b'"epoch":2' not in data for data in left)


@pytest.mark.fault("P4")
@pytest.mark.parametrize(("room", "serves"), [(1_000, ""), (1, "v2")], ids=["as it is", "control: one epoch more"])
def test_what_the_loop_decided_meanwhile_does_not_undo_an_order(tmp_path: Path, room: int, serves: str) -> None:
    ours = traffic(tmp_path)
    ours.publish(routing(5))

    def make(present: TrafficShifted) -> TrafficOrdered:
        made = ordered(present, Order.ROLLBACK, command="c", by="ada", reason="stop")
        return made if room > 1 else replace(made, epoch=present.epoch + room)

    ours.order("fraud", make)
    ours.publish(routing(7))
    found = ours.published("fraud")
    assert found is not None
    assert found.challenger[0] == serves


def test_a_full_disk_leaves_the_old_order_and_says_so(tmp_path: Path) -> None:
    disk = FaultyDisk()
    ours = traffic(tmp_path, disk)
    ours.publish(routing(1))
    disk.capacity = 0
    with pytest.raises(UnavailableError, match="was not published"):
        ours.publish(routing(2))
    assert ours.published("fraud") == routing(1)
    disk.capacity = None
    ours.publish(routing(2))
    assert ours.published("fraud") == routing(2)


def test_applied_counts_living_workers_and_their_smallest_epoch(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    assert ours.applied("fraud") == (0, 0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        ours.report(status("0", os.getpid(), 4))
        ours.report(status("1", other.pid, 3))
        assert ours.workers("fraud") == [status("0", os.getpid(), 4), status("1", other.pid, 3)]
        assert ours.applied("fraud") == (2, 3)
        other.kill()
    assert ours.applied("fraud") == (1, 4)
    ours.report(replace(status("0", os.getpid(), 9), started=1))  # another process with the same pid
    assert ours.applied("fraud") == (0, 0)
    (tmp_path / "workers" / "fraud-2.json").write_text(json.dumps({"half": 1}))
    assert ours.applied("fraud") == (0, 0)
    assert ours.applied("spam") == (0, 0)


def test_a_worker_belongs_to_the_folder_that_it_serves_from_and_to_no_copy_of_it(tmp_path: Path) -> None:
    ours = traffic(tmp_path / "ours")
    ours.report(status("0", os.getpid(), 3))
    shutil.copytree(tmp_path / "ours", tmp_path / "copy")
    assert traffic(tmp_path / "copy").workers("fraud") == []
    assert living_workers(tmp_path / "copy") == []
    (tmp_path / "ours").rename(tmp_path / "moved")
    assert traffic(tmp_path / "moved").workers("fraud") == [status("0", os.getpid(), 3)]
    (said,) = living_workers(tmp_path / "moved")
    assert said["epoch"] == 3
    file = tmp_path / "moved" / "workers" / "fraud-0.json"
    file.write_text(json.dumps(said))  # as a release wrote it that knew of no folder
    assert traffic(tmp_path / "moved").workers("fraud") == [status("0", os.getpid(), 3)]


def test_the_control_plane_is_heard(tmp_path: Path) -> None:
    ours = traffic(tmp_path)
    assert ours.beaten_s() is None
    ours.beat()
    assert ours.beaten_s() is not None
    os.utime(tmp_path / "run" / "control", (0, 0))
    assert (ours.beaten_s() or 0) > 1000


def test_latency_is_read_from_the_grid() -> None:
    health = VersionHealth(version="v2", latency=(0, 0, 0, 0, 98, 0, 0, 0, 2))
    assert health.latency_ms(0.5) == pytest.approx(0.2)
    assert health.latency_ms(0.99) == pytest.approx(0.4)
    assert VersionHealth(version="v2").latency_ms(0.99) is None
